// Calls of the REST API, typed by the daemon's OpenAPI document.
//
// Owns: addresses, the token's header, and problems. Must not: remember answers; `state/` does.

import { Problem, problemOf } from "./problem";
import { readToken } from "./token";
import type { components, paths } from "./types";

export type Schemas = components["schemas"];
export type Study = Schemas["Study"];
export type Trial = Schemas["Trial"];
export type SomeTrial = Schemas["SomeTrial"];
export type Node = Schemas["Node"];
export type Cluster = Schemas["Cluster"];
export type Param = Schemas["Param"];
export type TrialState = Schemas["TrialState"];
export type Attempt = Schemas["Attempt"];
export type Report = Schemas["Report"];
export type Artifact = Schemas["Artifact"];

type Verb = "get" | "post" | "patch" | "delete" | "put";
type Operation<P extends keyof paths, V extends Verb> = paths[P][V];
type JsonOf<T> = T extends { content: { "application/json": infer J } } ? J : void;
type Success<O> = O extends { responses: infer R } ? JsonOf<R[Extract<keyof R, 200 | 201 | 202 | 204>]> : never;
type BodyOf<O> = O extends { requestBody?: { content: { "application/json": infer B } } }
  ? B
  : O extends { requestBody: { content: { "application/json": infer B } } }
    ? B
    : undefined;
type QueryOf<O> = O extends { parameters: { query?: infer Q } } ? Q : undefined;
type Names<P extends string> = P extends `${string}{${infer N}}${infer Rest}` ? N | Names<Rest> : never;

export interface Call<O, P extends string> {
  path?: Record<Names<P>, string>;
  query?: QueryOf<O>;
  body?: BodyOf<O>;
  signal?: AbortSignal;
}

/** The address of a path of the API, its names filled in. */
export function address(path: string, names: Record<string, string> = {}, query: object = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return text ? `${filled}?${text}` : filled;
}

/** A call with the token, whatever it answers with. Throws a `Problem` where that isn't a success. */
export async function fetchWithToken(url: string, init: RequestInit = {}): Promise<Response> {
  const token = readToken();
  if (!token) throw new Problem(401, "Not signed in", "this browser has no token of this daemon");
  const headers = new Headers(init.headers);
  headers.set("authorization", `Bearer ${token}`);
  let answer: Response;
  try {
    answer = await fetch(url, { ...init, headers, cache: "no-store", credentials: "omit" });
  } catch (thrown) {
    if (init.signal?.aborted) throw thrown;
    throw new Problem(0, "The daemon does not answer", "it may be stopped, or starting");
  }
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (problem.status === 401) refusals.forEach((tell) => tell());
  // Only a proxy answers so: the daemon behind it is away.
  if (answer.status === 502 && !problem.type) throw new Problem(0, "The daemon does not answer", "");
  throw problem;
}

const refusals = new Set<() => void>();

/** Calls `tell` whenever the token is refused. */
export function onRefused(tell: () => void): void {
  refusals.add(tell);
}

async function call<P extends keyof paths, V extends Verb>(
  verb: V,
  path: P,
  { path: names, query, body, signal }: Call<Operation<P, V>, P & string> = {},
): Promise<Success<Operation<P, V>>> {
  const answer = await fetchWithToken(address(path, names, (query ?? {}) as object), {
    method: verb.toUpperCase(),
    signal,
    ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await answer.text();
  return (text ? JSON.parse(text) : undefined) as Success<Operation<P, V>>;
}

type Having<V extends Verb> = {
  [P in keyof paths]: undefined extends paths[P][V] ? (paths[P][V] extends object ? P : never) : P;
}[keyof paths];

/** GET. */
export const get = <P extends Having<"get">>(path: P, args?: Call<Operation<P, "get">, P & string>) =>
  call("get", path, args);
/** POST. */
export const post = <P extends Having<"post">>(path: P, args?: Call<Operation<P, "post">, P & string>) =>
  call("post", path, args);
/** PATCH. */
export const patch = <P extends Having<"patch">>(path: P, args?: Call<Operation<P, "patch">, P & string>) =>
  call("patch", path, args);
/** DELETE. */
export const remove = <P extends Having<"delete">>(path: P, args?: Call<Operation<P, "delete">, P & string>) =>
  call("delete", path, args);

/** Every item of a list, page after page, at most `most`. */
export async function* pages<T>(
  read: (cursor: string | undefined) => Promise<{ items: T[]; next_cursor?: string | null }>,
): AsyncGenerator<T[]> {
  let cursor: string | undefined;
  do {
    const page = await read(cursor);
    yield page.items;
    cursor = page.next_cursor ?? undefined;
  } while (cursor);
}

/** Reads a file of the API and has the browser save it. */
export async function download(url: string, name: string): Promise<void> {
  const answer = await fetchWithToken(url);
  save(await answer.blob(), name);
}

/** Has the browser save bytes under a name. */
export function save(bytes: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(bytes);
  link.download = name.replace(/[^\p{L}\p{N}._-]+/gu, "_").slice(0, 120) || "download";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
