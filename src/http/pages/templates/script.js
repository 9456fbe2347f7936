// Optional: every task works without this script. It shows passwords, copies texts and refreshes lists.
"use strict";

/** Brings the buttons in `root` to life; they are hidden without this script. */
function equip(root) {
  for (const button of root.querySelectorAll("[data-reveal][hidden]")) {
    const input = document.querySelector(button.dataset.reveal);
    const show = button.textContent;
    const set = (visible) => {
      input.type = visible ? "text" : "password";
      button.textContent = visible ? button.dataset.hide : show;
      button.setAttribute("aria-pressed", visible);
    };
    button.addEventListener("click", () => set(input.type === "password"));
    // Browsers remember what was typed into a text, but not a password.
    input.form?.addEventListener("submit", () => set(false));
    button.hidden = false;
  }
  for (const button of root.querySelectorAll("[data-copy][hidden]")) {
    if (!navigator.clipboard) continue;
    const copy = button.textContent;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent.trim());
      button.textContent = button.dataset.copied;
      setTimeout(() => (button.textContent = copy), 2000);
    });
    button.hidden = false;
  }
}

/** The elements as the server sent them, by element on the page. */
const sent = new WeakMap();
const inUse = (element) =>
  element.contains(document.activeElement) || element.matches("details[open]") || element.querySelector("details[open]") ||
  (!getSelection().isCollapsed && getSelection().containsNode(element, true));

/** Notes what the server sent, before the buttons in it change. */
function remember(element) {
  for (const one of [element, ...element.children]) sent.set(one, one.outerHTML);
  equip(element);
}

/** Replaces `old` by `fresh` if the server sent something else and nobody is using it. */
function replace(old, fresh) {
  if (sent.get(old) === fresh.outerHTML || inUse(old)) return old;
  old.replaceWith(fresh);
  remember(fresh);
  return fresh;
}

/** Makes the children of `old` those of `fresh`. Children with the same id stay, with what is open and focused in them. */
function merge(old, fresh) {
  const known = new Map([...old.children].map((child) => [child.id, child]));
  let last = null;
  for (const child of [...fresh.children]) {
    const now = known.has(child.id) ? replace(known.get(child.id), child) : child;
    known.delete(child.id);
    const place = last ? last.nextElementSibling : old.firstElementChild;
    if (now !== place) old.insertBefore(now, place);
    if (!sent.has(now)) remember(now);
    last = now;
  }
  for (const gone of known.values()) if (!inUse(gone)) gone.remove();
}

let used = Date.now();
for (const event of ["pointerdown", "pointermove", "keydown", "focus"]) addEventListener(event, () => (used = Date.now()), true);
/** Whether somebody uses the page. Otherwise refreshing would keep the session of an unattended browser alive. */
const attended = () => !document.hidden && Date.now() - used < 300_000;

/** Fetches the page again every `data-refresh` seconds. With `data-merge` the element's children are merged by their id. */
function refresh(element) {
  const again = () => setTimeout(turn, 1000 * element.dataset.refresh);
  const turn = async () => {
    try {
      if (attended()) {
        const answer = await fetch(location.href, { cache: "no-store", headers: { accept: "text/html" } });
        // The session has ended, or there is no such page any more: do not leave its data on the screen.
        if (answer.redirected || (answer.status >= 400 && answer.status < 500)) return location.reload();
        const fresh = answer.ok && new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(element.id);
        if (fresh && "merge" in element.dataset && fresh.firstElementChild?.id) merge(element, fresh);
        else if (fresh) element = replace(element, fresh);
      }
    } catch { /* The server is away; the next turn tries again. */ }
    again();
  };
  again();
}

const lists = document.querySelectorAll("[data-refresh]");
for (const list of lists) remember(list);
for (const list of lists) refresh(list);
equip(document);
