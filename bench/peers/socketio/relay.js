// A relay of typing between the two of a room, as socket.io's documentation has it. Its port is the one argument.
const { Server } = require("socket.io");

const io = new Server({
  transports: ["websocket"],
  serveClient: false,
  perMessageDeflate: false,
  // Nobody is asked whether they are there while it is measured.
  pingInterval: 3_600_000,
});

io.on("connection", (socket) => {
  const { room } = socket.handshake.auth;
  socket.join(room);
  socket.on("typing", (state) => socket.to(room).emit("typing", state));
});

io.listen(Number(process.argv[2]));
