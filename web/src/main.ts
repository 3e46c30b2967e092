// Where the page begins.

import { mount } from "svelte";
import App from "./App.svelte";
import { adoptToken } from "./api/token";
import { router } from "./router.svelte";
import { app } from "./state/app.svelte";
import "./theme.css";

adoptToken();
router.start();
app.start();
mount(App, { target: document.getElementById("app")! });
