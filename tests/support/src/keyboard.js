// Begins a walk with the Tab key at the top of the page. `portcullisStop` tells of the element that has the focus now, or
// is null after the last one; `portcullisMissed` of the elements that the walk did not reach.
const name = (element) => {
  const text = (element.textContent || element.value || '').trim().replace(/\s+/g, ' ').slice(0, 30);
  return `${element.tagName.toLowerCase()}${element.id ? '#' + element.id : ''} ${element.name ?? ''} ${text}`.trim();
};
// The focus may be drawn on the element or around it.
const look = (element) => [element, element.parentElement].filter(Boolean).map((part) => {
  const style = getComputedStyle(part);
  return [style.outlineStyle, style.outlineWidth, style.outlineColor, style.boxShadow, style.borderColor,
    style.backgroundColor, style.textDecorationLine].join();
}).join();
const onScreen = (element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
};
const candidates = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')]
  .filter((element) => !element.disabled && element.type !== 'hidden' && element.checkVisibility());
// The next Tab goes to the first element of the page.
document.body.tabIndex = -1;
document.body.focus();
document.body.removeAttribute('tabindex');
scrollTo(0, 0);
const resting = new Map(candidates.map((element) => [element, look(element)]));
const reached = new Set();
window.portcullisStop = () => {
  for (const animation of document.getAnimations()) {
    try { animation.finish(); } catch { animation.cancel(); }
  }
  const element = document.activeElement;
  if (element === null || element === document.body || element === document.documentElement) return null;
  if (element.tagName !== 'IFRAME') {
    if (reached.has(element)) return null;
    reached.add(element);
  }
  return { element: name(element), seen: element.tagName === 'IFRAME' || onScreen(element) && look(element) !== resting.get(element) };
};
// One radio button of a group is a stop; the arrow keys lead to the others.
window.portcullisMissed = () => candidates
  .filter((element) => !reached.has(element) && !(element.type === 'radio' && [...reached].some((one) => one.name === element.name)))
  .map(name);
