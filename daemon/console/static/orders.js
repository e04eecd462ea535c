/* The grid: keys, selection, many at once, and rows that stay up to date. */
(() => {
  "use strict";

  const chosen = new Set();
  let cursor = null; // the key of the row that keys act on
  const rows = () => [...document.querySelectorAll("#rows tr")];
  const rowOf = (key) => rows().find((row) => row.dataset.key === key);
  const box = (row) => row.querySelector('input[name="order"]');

  function show() {
    const here = rows();
    for (const row of here) {
      const selected = chosen.has(row.dataset.key);
      box(row).checked = selected;
      row.classList.toggle("chosen", selected);
      row.classList.toggle("cursor", row.dataset.key === cursor);
    }
    document.getElementById("bulk").hidden = !here.length;
    const all = document.getElementById("all");
    all.hidden = false;
    all.checked = here.length > 0 && here.every((row) => chosen.has(row.dataset.key));
    all.indeterminate = !all.checked && here.some((row) => chosen.has(row.dataset.key));
    document.getElementById("chosen").textContent =
      chosen.size ? `${chosen.size} selected` : "Select all";
  }

  function pick(row, on) {
    if (on) chosen.add(row.dataset.key);
    else chosen.delete(row.dataset.key);
    show();
  }

  function moveTo(row) {
    if (!row) return;
    cursor = row.dataset.key;
    show();
    row.querySelector("a").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const here = rows();
    const at = here.findIndex((row) => row.dataset.key === cursor);
    moveTo(here[at < 0 ? 0 : Math.min(Math.max(at + by, 0), here.length - 1)]);
  }

  function act(button) {
    const row = rowOf(cursor);
    if (!chosen.size && row) pick(row, true);
    if (chosen.size) document.getElementById(button)?.click(); // not requestSubmit: htmx goes by the click
  }

  const keys = {
    j: () => step(1),
    k: () => step(-1),
    x: () => { const row = rowOf(cursor); if (row) pick(row, !chosen.has(cursor)); },
    a: () => act("accept"),
    r: () => act("refuse"),
    s: () => { const row = rowOf(cursor); if (row) location.assign(`${row.dataset.href}/shipments#f-tracking_number`); },
    "/": () => document.getElementById("f-text").focus(),
    "?": () => document.getElementById("help").showModal(),
    Escape: () => { chosen.clear(); show(); },
  };

  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
    if (event.ctrlKey || event.metaKey || event.altKey || typing) {
      if (event.key === "Escape" && typing && !typing.closest("dialog")) typing.blur();
      return;
    }
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  document.addEventListener("change", (event) => {
    if (event.target.id === "all") {
      for (const row of rows()) event.target.checked ? chosen.add(row.dataset.key) : chosen.delete(row.dataset.key);
      show();
    } else if (event.target.name === "order" && event.target.closest("#rows")) {
      pick(event.target.closest("tr"), event.target.checked);
    }
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-close]")) {
      event.preventDefault();
      event.target.closest("dialog").close();
    }
    const row = event.target.closest("#rows tr");
    if (!row) return;
    cursor = row.dataset.key;
    if (event.target.name !== "order") show(); // a box tells by its change, which comes after the click
  });

  /* The same page again, its list put in the place of the one shown. */
  async function refresh() {
    const before = new Set(rows().map((row) => row.dataset.key));
    if (!(await window.consoleUi.refresh(["list"]))) return;
    const here = new Set(rows().map((row) => row.dataset.key));
    for (const key of chosen) if (!here.has(key)) chosen.delete(key);
    if (before.size) for (const row of rows()) row.classList.toggle("fresh", !before.has(row.dataset.key));
    show();
  }

  document.addEventListener("console:orders", refresh);
  document.addEventListener("console:ask", () => document.getElementById("ask").showModal());
  document.addEventListener("console:done", () => {
    document.getElementById("ask").close();
    chosen.clear();
    show();
    refresh();
  });

  const zone = document.querySelector('#filters input[name="zone"]');
  zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const filters = document.getElementById("filters");
  filters.addEventListener("change", (event) => {
    if (event.target.matches("select, input[type=checkbox]")) filters.requestSubmit();
  });
  const help = document.getElementById("help-button");
  help.hidden = false;
  help.addEventListener("click", keys["?"]);
  show();
})();
