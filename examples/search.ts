/**
 * Asks the index that `search-index.ts` has built: documents that contain all words, those that use them most first.
 *
 *     node examples/search.ts white whale
 */
import { openTable } from 'millrace';
import type { Posting } from './search-index.ts';

export async function search(index: string, words: readonly string[]): Promise<string[]> {
  await using table = await openTable<string, readonly Posting[]>(index);
  const score = new Map<string, { words: number; uses: number }>();
  for (const word of words) {
    for (const { document, uses } of (await table.get(word.toLowerCase())) ?? []) {
      const so = score.get(document) ?? { words: 0, uses: 0 };
      score.set(document, { words: so.words + 1, uses: so.uses + uses });
    }
  }
  return [...score]
    .filter(([, found]) => found.words === words.length)
    .toSorted(([a, x], [b, y]) => y.uses - x.uses || (a < b ? -1 : 1))
    .map(([document]) => document);
}

if (import.meta.main) {
  for (const document of await search('out/search-index', process.argv.slice(2))) {
    process.stdout.write(`${document}\n`);
  }
}
