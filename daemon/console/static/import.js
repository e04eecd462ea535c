/* How much of the file has been sent. */
(() => {
  "use strict";
  const form = document.getElementById("import");
  const bar = document.getElementById("sent");
  const place = document.getElementById("sending");
  form.addEventListener("htmx:beforeRequest", () => { place.hidden = false; });
  form.addEventListener("htmx:xhr:progress", (event) => {
    if (event.detail.lengthComputable) bar.value = (100 * event.detail.loaded) / event.detail.total;
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful) place.hidden = true;
  });
})();
