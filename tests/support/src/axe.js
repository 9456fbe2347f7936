// The violations that matter, as texts. Frames are left out: they hold mails, which are looked at on their own.
const done = arguments[arguments.length - 1];
const matters = (violation) => ['serious', 'critical'].includes(violation.impact);
const text = (violation) => violation.nodes.map((node) =>
  `${violation.id} (${violation.impact}): ${node.target.join(' ')}: ${node.failureSummary.replace(/\s+/g, ' ')}`);
// A transition to the other scheme may be at work.
for (const animation of document.getAnimations()) {
  try { animation.finish(); } catch { animation.cancel(); }
}
axe.run(document, { iframes: false, resultTypes: ['violations'] })
  .then((result) => done(result.violations.filter(matters).flatMap(text)))
  .catch((error) => done([String(error)]));
