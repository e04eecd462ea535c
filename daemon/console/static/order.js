/* One order: its parts follow what happens to it, but never from under somebody who types. */
(() => {
  "use strict";

  document.addEventListener("console:order", () => {
    const tab = document.getElementById("order-tab");
    const typed = [...tab.querySelectorAll("input:not([type=hidden]), textarea")].some(
      (field) => field === document.activeElement || field.value !== field.defaultValue,
    );
    window.consoleUi.refresh(["order-head", "order-aside", ...(typed ? [] : ["order-tab"])]);
  });
})();
