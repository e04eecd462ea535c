/* What every page has: times in the viewer's zone, the CSRF header, messages, live updates. */
(() => {
  "use strict";

  const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "long" });
  const short = new Intl.DateTimeFormat(undefined, {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit",
  });
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];

  function age(at) {
    const seconds = Math.floor((Date.now() - at) / 1000);
    const found = units.find(([size]) => seconds >= size);
    return found ? `${Math.floor(seconds / found[0])} ${found[1]}` : "now";
  }

  function times(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.textContent = time.classList.contains("age") ? age(at) : short.format(at);
      time.title = exact.format(at);
    }
  }

  function toast(message, kind) {
    const notice = document.createElement("p");
    notice.className = `notice ${kind || ""}`;
    notice.textContent = message;
    const place = document.getElementById("toast");
    place.replaceChildren(notice);
    setTimeout(() => { if (notice.isConnected) notice.remove(); }, 8000);
  }

  const csrf = document.querySelector('meta[name="csrf"]')?.content;
  document.addEventListener("htmx:configRequest", (event) => {
    if (csrf) event.detail.headers["X-CSRF-Token"] = csrf;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr } = event.detail;
    if (xhr.status < 400) return;
    event.detail.shouldSwap = false;
    const page = new DOMParser().parseFromString(xhr.responseText, "text/html");
    toast(page.body.textContent.trim() || `The daemon answered ${xhr.status}.`, "bad");
  });
  document.addEventListener("htmx:sendError", () => toast("The daemon cannot be reached.", "bad"));
  document.addEventListener("htmx:afterSettle", (event) => times(event.detail.elt.parentElement || document));
  document.addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.ask || event.target.dataset.ask;
    if (question && !window.confirm(question)) event.preventDefault();
  }, true);

  /* The same page again; parts of it, by id, put in the place of those shown. One at a time: what
     is asked for meanwhile is done once more after it. */
  let refreshing = null;
  let again = false;
  async function refresh(ids) {
    if (refreshing) {
      again = true;
      return refreshing;
    }
    refreshing = (async () => {
      let fine;
      do {
        again = false;
        fine = await replaceParts(ids);
      } while (again);
      return fine;
    })();
    try {
      return await refreshing;
    } finally {
      refreshing = null;
    }
  }

  async function replaceParts(ids) {
    let response;
    try {
      response = await fetch(location.href, { headers: { Accept: "text/html" } });
    } catch {
      return false; // the stream tells when it is back
    }
    if (response.redirected) location.reload();
    if (!response.ok || response.redirected) return false;
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const id of ids) {
      const old = document.getElementById(id);
      const fresh = page.getElementById(id);
      if (!old || !fresh) continue;
      const focused = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
      times(fresh);
      old.replaceWith(document.adoptNode(fresh));
      window.htmx?.process(fresh);
      if (focused) fresh.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    }
    return true;
  }

  /* One stream a visible page: `console:standing`, `console:orders` and `console:order` are what
     pages listen to. A hidden page has none, and catches up when it is seen again. */
  let stream = null;
  function listen() {
    if (!document.body.classList.contains("signed-in") || stream) return;
    const watched = document.querySelector("[data-watch]")?.dataset.watch;
    stream = new EventSource("/stream" + (watched ? `?${watched}` : ""));
    for (const kind of ["standing", "orders", "order"]) {
      stream.addEventListener(kind, (event) => {
        document.dispatchEvent(new CustomEvent(`console:${kind}`, { detail: event.data }));
      });
    }
  }
  function leave() {
    stream?.close();
    stream = null;
  }
  document.addEventListener("console:standing", (event) => {
    const place = document.getElementById("standing");
    if (place && place.innerHTML !== event.detail) htmx.swap(place, event.detail, { swapStyle: "innerHTML" });
  });

  window.consoleUi = { times, toast, refresh };
  document.addEventListener("visibilitychange", () => (document.hidden ? leave() : listen()));
  window.addEventListener("pagehide", leave);
  for (const here of document.querySelectorAll("nav a[aria-current]")) {
    here.scrollIntoView({ block: "nearest", inline: "center" });
  }
  times(document);
  setInterval(() => times(document), 30000);
  listen();
})();
