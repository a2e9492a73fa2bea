/**
 * PageRank: every round each page gives its rank to the pages that it links to. The rounds are chained in memory, nothing is written
 * between them.
 *
 *     millrace run examples/pagerank.ts
 */
import { files, flow } from 'millrace';

const DAMPING = 0.85;

export default flow('pagerank', (f) => {
  const rounds = f.param('rounds', 30);
  const links = f
    .read(
      files.tsv(f.param('links', 'examples/data/links.tsv'), {
        columns: { from: 'string', to: 'string' },
      }),
    )
    .keyBy((link) => link.from)
    .mapValues((link): readonly string[] => [link.to])
    .reduce('links', (left, right) => [...left, ...right]);

  const ranks = f.iterate(
    'ranks',
    links.mapValues(() => 1),
    { rounds, fixpoint: true },
    (current) =>
      current
        .join('given', links, (rank, targets) => ({ rank, targets }))
        .flatMap(({ rank, targets }, page) => [
          // A page that nobody links to has a rank, too.
          { page, share: 0 },
          ...targets.map((target) => ({ page: target, share: rank / targets.length })),
        ])
        .keyBy((given) => given.page)
        .aggregate('received', {
          init: () => 0,
          add: (sum, given) => sum + given.share,
          merge: (a, b) => a + b,
        })
        .mapValues((received) => round(1 - DAMPING + DAMPING * received)),
  );

  ranks
    .map((rank, page) => ({ page, rank }))
    .sort('by-rank', (row) => [-row.rank, row.page])
    .write(files.ndjson(f.param('output', 'out/pagerank.ndjson')));
});

/** Ranks that no longer change in the ninth digit are the fixpoint. */
function round(rank: number): number {
  return Math.round(rank * 1e9) / 1e9;
}
