// Puts the page together: asks for the session, then opens the feed, the handset, the desk and the explanation.
import { $, setText, show } from "./dom.js";
import * as api from "./api.js";
import { createConnection } from "./connection.js";
import { createDesk } from "./desk.js";
import { createHandset } from "./handset.js";
import { createNewUser } from "./newuser.js";
import { createStore, keyOf } from "./store.js";
import { createWhy } from "./why.js";
import { openFeed } from "./feed.js";
import { showCommands } from "./tryit.js";
import { thisRep } from "./rep.js";

const AGAIN_MS = 3000;

const start = async (session) => {
  const rep = await thisRep();
  const store = createStore();
  const connection = createConnection();

  const say = async ({ key, channel, agent, user }, message) => {
    if (session.keeps_messages) return api.say({ channel, agent, user, ...message });
    store.message({ key, channel, agent, user }, message);
  };

  show($("gate"), false);
  show($("stage"), true);
  setText($("tenant"), session.mode === "dev" ? "dev mode" : session.tenant);
  show($("tenant"), true);
  show($("logout"), session.mode !== "dev");
  show($("messages-note"), !session.keeps_messages);
  showCommands(session.try_it);
  createNewUser({ store, session });

  const why = createWhy({ store, explains: session.explains });
  const handset = createHandset({ store, say, onstate: connection("handset") });
  const desk = createDesk({ store, rep, say, onstate: connection("desk"), onchange: why.refresh });
  store.subscribe(() => {
    handset.update();
    desk.update();
    why.update();
  });

  // A session that ended makes every request fail: only then is it time to log in again.
  const leaveIfOver = async () => {
    try {
      await api.session();
    } catch (refused) {
      if (refused.status === 401) location.reload();
    }
  };
  api.onUnauthorized(leaveIfOver);

  const feedState = connection("feed");
  const feed = openFeed({
    state(state, detail) {
      feedState(state, detail);
      if (state === "waiting") leaveIfOver();
      if (state !== "open") return;
      why.refresh();
      handset.wake();
      desk.wake();
    },
    revoked: leaveIfOver,
    conversations: ({ conversations }) => store.replaceAll(conversations, !session.keeps_messages),
    activity(of) {
      store.touch(of);
      why.heard(keyOf(of));
    },
    message: ({ channel, agent, user, ...message }) => store.message({ channel, agent, user }, message),
  });

  $("logout").addEventListener("click", async () => {
    feed.close();
    handset.close();
    desk.close();
    await api.logOut().catch(() => {});
    location.reload();
  });

  store.changed();
};

const askForKey = () => {
  show($("gate"), true);
  show($("login"), true);
  show($("connection"), false);
  $("api-key").focus();
};

const begin = async () => {
  try {
    const session = await api.session();
    show($("trouble"), false);
    show($("connection"), true);
    await start(session);
  } catch (refused) {
    if (refused.status === 401) return askForKey();
    if (!(refused instanceof api.Refused)) throw refused;
    show($("gate"), true);
    show($("login"), false);
    show($("trouble"), true);
    setText($("trouble"), `${refused.message} Trying again…`);
    setTimeout(begin, AGAIN_MS * (0.5 + Math.random()));
  }
};

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = $("api-key").value.trim();
  setText($("login-error"), "");
  try {
    await api.logIn(key);
    $("api-key").value = "";
    begin();
  } catch (refused) {
    setText($("login-error"), refused.status === 401 ? "That key is not known." : refused.message);
    $("api-key").select();
  }
});

begin();
