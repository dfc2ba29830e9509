// Debian's Chromium, and how it is told to keep to itself.
export const PROGRAM = "/usr/bin/chromium";

export const ARGS = [
  ...["--no-sandbox", "--disable-gpu", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];
