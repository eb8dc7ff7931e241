"use strict";
document.documentElement.classList.add("scripted");
for (const box of document.querySelectorAll("[data-model]")) {
  box.addEventListener("change", () => {
    document.body.classList.toggle("without-" + box.dataset.model, !box.checked);
    for (const other of document.querySelectorAll(`[data-model="${box.dataset.model}"]`)) other.checked = box.checked;
  });
}
for (const choice of document.querySelectorAll("[data-sorts]")) {
  choice.addEventListener("change", () => {
    const body = document.getElementById(choice.dataset.sorts);
    const rows = [...body.querySelectorAll("tr[data-order]")];
    const byName = (a, b) => a.dataset.name.localeCompare(b.dataset.name);
    const byValue = (a, b) => b.dataset.order - a.dataset.order || byName(a, b);
    rows.sort(choice.value === "name" ? byName : byValue).forEach(row => body.append(row));
  });
}
const folded = () => [...document.querySelectorAll("details")];
document.getElementById("unfold")?.addEventListener("click", event => {
  const open = !event.target.classList.contains("unfolded");
  folded().forEach(one => { one.open = open; });
  event.target.classList.toggle("unfolded", open);
  event.target.textContent = open ? "Fold all" : "Unfold all";
});
// A table is reached by Tab only where it must be scrolled.
const widths = new ResizeObserver(seen => {
  for (const { target } of seen) {
    if (target.scrollWidth > target.clientWidth) target.tabIndex = 0; else target.removeAttribute("tabindex");
  }
});
document.querySelectorAll(".scroll").forEach(one => widths.observe(one));
const reveal = () => {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (target) { const fold = target.closest("details"); if (fold) fold.open = true; target.scrollIntoView(); }
};
window.addEventListener("hashchange", reveal);
reveal();
