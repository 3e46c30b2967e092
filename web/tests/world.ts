// Real daemons, the built page before them, and a browser: what end-to-end tests and pictures are made in.

import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { createServer, request, type Server } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

const PROGRAMS = process.env.METAOPT_PROGRAMS ?? join(import.meta.dirname, "../../target/release");
const DIST = join(import.meta.dirname, "../dist");
const CHROMIUM = process.env.METAOPT_CHROMIUM ?? "/usr/bin/chromium";
/** The page must work under this: no inline script or style, nothing from elsewhere. */
/** As the daemon has it (`daemon/src/http/page.rs`). */
const POLICY = [
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'",
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
].join("; ");

export interface Daemon {
  url: string;
  token: string;
  node: string;
  dir: string;
  process: ChildProcess;
  api: <T = any>(path: string, body?: unknown, method?: string) => Promise<T>;
  stop: () => Promise<void>;
  /** Ends it at once, as a power cut would. */
  kill: () => Promise<void>;
}

/** Starts a daemon on free ports of the loopback interface. */
export async function startDaemon(options: string[] = [], keep?: string): Promise<Daemon> {
  const dir = keep ?? mkdtempSync(join(tmpdir(), "metaopt-web-"));
  const child = spawn(
    join(PROGRAMS, "metaoptd"),
    [
      ...["--allow-root", "--listen", "127.0.0.1:0", "--peer-listen", "127.0.0.1:0", "--no-mdns", "--gpus", "none"],
      ...["--data-dir", dir, ...options],
    ],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  await new Promise<void>((ready, failed) => {
    let said = "";
    child.stdout!.on("data", (piece: Buffer) => {
      said += piece;
      if (said.includes("metaoptd ready")) ready();
    });
    child.on("exit", (code) => failed(new Error(`metaoptd left with ${code}: ${said}`)));
    child.on("error", failed);
  });
  const { url, token, node } = JSON.parse(readFileSync(join(dir, "api.json"), "utf8"));
  const end = (signal: NodeJS.Signals) => () =>
    new Promise<void>((done) => {
      if (child.exitCode !== null || child.signalCode !== null) return done();
      child.once("exit", () => done());
      child.kill(signal);
    });
  const api = async (path: string, body?: unknown, method = body === undefined ? "GET" : "POST") => {
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${token}` },
      body: body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : undefined;
  };
  return { url, token, node, dir, process: child, api, stop: end("SIGTERM"), kill: end("SIGKILL") };
}

/** Runs `metaopt` against a daemon and gives what it printed. */
export function metaopt(daemon: Daemon, args: string[], cwd?: string): Promise<string> {
  return new Promise((done, failed) => {
    const child = spawn(join(PROGRAMS, "metaopt"), args, {
      cwd,
      env: { ...process.env, METAOPT_URL: daemon.url, METAOPT_TOKEN: daemon.token, NO_COLOR: "1" },
    });
    let said = "";
    child.stdout.on("data", (piece: Buffer) => (said += piece));
    child.stderr.on("data", (piece: Buffer) => (said += piece));
    child.on("exit", (code) =>
      code === 0 ? done(said) : failed(new Error(`metaopt ${args.join(" ")}: ${code}\n${said}`)),
    );
  });
}

const KINDS: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

/** Serves the built page as the daemon will, and passes calls on to it. */
export function serve(daemon: () => Daemon): Promise<{ url: string; server: Server }> {
  const server = createServer((asked, answer) => {
    const path = (asked.url ?? "/").split("?")[0];
    if (path.startsWith("/api/") || path === "/healthz") {
      const target = new URL(daemon().url);
      const headers = { ...asked.headers, host: target.host };
      delete headers.origin;
      const passed = request(
        { host: target.hostname, port: target.port, path: asked.url, method: asked.method, headers },
        (told) => {
          answer.writeHead(told.statusCode ?? 502, told.headers);
          told.pipe(answer);
        },
      );
      passed.on("error", () => {
        if (answer.headersSent) answer.destroy();
        else answer.writeHead(502).end();
      });
      answer.on("close", () => passed.destroy());
      asked.pipe(passed);
      return;
    }
    const file = join(DIST, normalize(decodeURIComponent(path)));
    const found =
      file.startsWith(DIST) && existsSync(file) && statSync(file).isFile() ? file : join(DIST, "index.html");
    answer.writeHead(200, {
      "content-type": KINDS[extname(found)] ?? "application/octet-stream",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    answer.end(readFileSync(found));
  });
  return new Promise((ready) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      ready({ url: `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`, server });
    });
  });
}

export interface World {
  daemon: Daemon;
  /** Where the page is. */
  url: string;
  browser: Browser;
  /** A fresh browser profile, signed in, whose errors are kept. */
  open: (options?: { width?: number; height?: number; dark?: boolean; signedIn?: boolean }) => Promise<Visit>;
  /** Puts another daemon behind the page. */
  replace: (daemon: Daemon) => void;
  close: () => Promise<void>;
}

export interface Visit {
  page: Page;
  context: BrowserContext;
  /** Errors of the console and the page, breaches of its policy among them. */
  errors: string[];
  /** Addresses that were asked for outside of the page's origin. */
  foreign: string[];
  go: (path: string) => Promise<void>;
}

/** A daemon, the page and a browser. */
export async function begin(options: string[] = []): Promise<World> {
  let daemon = await startDaemon(["--name", "ada", ...options]);
  const first = daemon;
  const { url, server } = await serve(() => daemon);
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: [
      ...["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--no-first-run"],
      "--enable-precise-memory-info",
    ],
  });
  const open: World["open"] = async ({ width = 1440, height = 900, dark = false, signedIn = true } = {}) => {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: dark ? "dark" : "light",
      acceptDownloads: true,
    });
    if (signedIn) await context.addInitScript((token) => localStorage.setItem("metaopt.token", token), daemon.token);
    const page = await context.newPage();
    const errors: string[] = [];
    const foreign: string[] = [];
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") errors.push(message.text());
    });
    page.on("pageerror", (error) => errors.push(String(error)));
    page.on("request", (asked) => {
      if (!asked.url().startsWith(url) && !asked.url().startsWith("blob:")) foreign.push(asked.url());
    });
    const go = async (path: string) => {
      await page.goto(url + path);
    };
    return { page, context, errors, foreign, go };
  };
  return {
    get daemon() {
      return daemon;
    },
    url,
    browser,
    open,
    replace: (other) => (daemon = other),
    close: async () => {
      await browser.close();
      server.closeAllConnections();
      server.close();
      await daemon.stop();
      if (daemon !== first) await first.stop();
      rmSync(first.dir, { recursive: true, force: true });
    },
  };
}

/** Waits until something holds. */
export async function until<T>(
  what: string,
  look: () => Promise<T | null | undefined | false>,
  ms = 30_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${ms} ms for ${what}`);
    await new Promise((wake) => setTimeout(wake, 150));
  }
}
