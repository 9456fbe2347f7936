// Begins a walk with the Tab key at the top of the page, and returns how many elements it should reach. Then
// `portcullisWalk` tells in which order it came to which elements, and which it missed.
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
const stops = new Map();
document.addEventListener('focusin', ({ target }) => {
  for (const animation of document.getAnimations()) {
    try { animation.finish(); } catch { animation.cancel(); }
  }
  if (stops.has(target)) return;
  const [differs, there] = [look(target) !== resting.get(target), onScreen(target)];
  stops.set(target, { element: name(target), seen: differs && there });
  // Only now the page is scrolled to it.
  target.addEventListener('focusout', () => (stops.get(target).seen = differs && (there || onScreen(target))));
});
// One radio button of a group is a stop; the arrow keys lead to the others.
const isOther = (element) => element.type === 'radio' && [...stops.keys()].some((one) => one.name === element.name);
window.portcullisWalk = () => ({
  stops: [...stops.values()],
  missed: candidates.filter((element) => !stops.has(element) && !isOther(element)).map(name),
});
return candidates.length;
