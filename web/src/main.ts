// Where the page begins.

import { mount } from "svelte";
import App from "./App.svelte";
import { adoptToken } from "./api/token";
import { router } from "./router.svelte";
import { app } from "./state/app.svelte";
import "./theme.css";

adoptToken();
// A link with a token that is opened where the page already is.
addEventListener("hashchange", () => {
  if (adoptToken()) app.reopen();
});
router.start();
app.start();
mount(App, { target: document.getElementById("app")! });
