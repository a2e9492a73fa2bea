/**
 * Pages of docs/ that are made from the sources: `npm run docs` writes them, tests beside the sources check that they
 * are up to date. To add a page, write a function in scripts/docs/ and a line in PAGES.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorsPage } from './docs/errors-page.ts';
import { kafkaSupportPage } from './docs/kafka-support-page.ts';
import { settingsPage, topicConfigsPage } from './docs/settings-pages.ts';

/** Path below the root of the repository, and the text. */
const PAGES: Readonly<Record<string, () => string>> = {
  'docs/reference/errors.md': errorsPage,
  'docs/reference/kafka-support.md': kafkaSupportPage,
  'docs/reference/settings.md': settingsPage,
  'docs/reference/topic-configs.md': topicConfigsPage,
};

/** What is wrong with a generated page; undefined when it is what the sources say. */
export function stalePage(path: string): string | undefined {
  const render = PAGES[path];
  if (render === undefined) return `${path} is not a generated page: add it to PAGES`;
  const found = currentText(path);
  if (found === render()) return undefined;
  return `${path} is ${found === undefined ? 'missing' : 'out of date'}: run \`npm run docs\` and commit it`;
}

function currentText(path: string): string | undefined {
  try {
    return readFileSync(absolute(path), 'utf8');
  } catch {
    return undefined;
  }
}

function absolute(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

function main(): void {
  for (const [path, render] of Object.entries(PAGES)) {
    if (stalePage(path) === undefined) continue;
    mkdirSync(dirname(absolute(path)), { recursive: true });
    writeFileSync(absolute(path), render());
    process.stdout.write(`wrote ${path}\n`);
  }
}

if (import.meta.main) main();
