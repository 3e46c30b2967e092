import { readFileSync } from "node:fs";
import { join } from "node:path";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { ProxyOptions } from "vite";
import { defineConfig } from "vitest/config";

/** Where the daemon of `METAOPT_DATA_DIR` serves, or `METAOPT_URL`: what the development server passes calls on to. */
function daemon(): string {
  const { METAOPT_URL, METAOPT_DATA_DIR } = process.env;
  if (METAOPT_URL) return METAOPT_URL;
  if (METAOPT_DATA_DIR) return JSON.parse(readFileSync(join(METAOPT_DATA_DIR, "api.json"), "utf8")).url;
  return "http://127.0.0.1:7878";
}

// The daemon refuses foreign origins, and the development server is one.
const proxy = (): ProxyOptions => ({
  target: daemon(),
  changeOrigin: true,
  configure: (server) => server.on("proxyReq", (request) => request.removeHeader("origin")),
});

export default defineConfig(({ command }) => ({
  plugins: [svelte()],
  server: command === "serve" ? { proxy: { "/api": proxy(), "/healthz": proxy() } } : {},
  build: {
    target: "es2022",
    // A data: address would need an exception from the content security policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1200,
  },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
}));
