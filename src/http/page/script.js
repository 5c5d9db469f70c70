"use strict";
async function update() {
  const status = await (await fetch("status.json")).json();
  for (const name of ["title", "why", "advice"]) {
    document.getElementById(name).textContent = status.health[name];
  }
}
update();
setInterval(update, 1000);
