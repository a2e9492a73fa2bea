/**
 * Where the running copy of Millrace has its entry points: `src/` when the sources run, `dist/` when the bundle does. Programs and
 * workers must get this copy and no other, or they would speak another language than the driver.
 */
const HERE = import.meta.url;
const SOURCE = '/src/engine/batch/';
const BUNDLE = '/dist/';

const isSource = HERE.includes(SOURCE);
/** URL of the directory that holds package.json, with a slash at the end. */
export const PACKAGE_URL = HERE.slice(0, HERE.lastIndexOf(isSource ? SOURCE : BUNDLE) + 1);

/** What Node has to take the entry points for. */
export const ENTRY_FORMAT = isSource ? 'module-typescript' : 'module';

/** URL of the module that `millrace` or `millrace/NAME` means; undefined for any other specifier. */
export function entryUrl(specifier: string): string | undefined {
  const match = /^millrace(?:\/([\w/-]+))?$/.exec(specifier);
  if (match === null) return undefined;
  const name = match[1] ?? 'index';
  return isSource ? `${PACKAGE_URL}src/${name}.ts` : `${PACKAGE_URL}dist/${name}.js`;
}

/** URL of the module that a worker process runs. */
export function workerUrl(): string {
  return isSource
    ? `${PACKAGE_URL}src/engine/batch/workers/worker-main.ts`
    : `${PACKAGE_URL}dist/worker.js`;
}

/** URL of the module that a worker thread of a stream runs. */
export function streamWorkerUrl(): string {
  return isSource
    ? `${PACKAGE_URL}src/engine/stream/runner/worker-thread.ts`
    : `${PACKAGE_URL}dist/stream-worker.js`;
}
