import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TopicTrie } from './topic-trie.ts';

/** The rules, read aloud. */
function matches(pattern: readonly string[], words: readonly string[]): boolean {
  const [first, ...rest] = pattern;
  if (first === undefined) return words.length === 0;
  if (first === '#')
    return matches(rest, words) || (words.length > 0 && matches(pattern, words.slice(1)));
  if (words.length === 0) return false;
  return (first === '*' || first === words[0]) && matches(rest, words.slice(1));
}

function wordsOf(text: string): string[] {
  return text === '' ? [] : text.split('.');
}

const patternOf = fc
  .array(fc.constantFrom('', 'a', 'b', '*', '#'), { maxLength: 5 })
  .map((words) => words.join('.'));
const keyOf = fc
  .array(fc.constantFrom('', 'a', 'b', '*', '#'), { maxLength: 6 })
  .map((words) => words.join('.'));

test('a trie leads where each pattern by itself does', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(patternOf, fc.nat({ max: 4 }), fc.boolean()), { maxLength: 20 }),
      fc.array(keyOf, { minLength: 1, maxLength: 10 }),
      (steps, keys) => {
        const trie = new TopicTrie<number>();
        const bound: [pattern: string, destination: number][] = [];
        for (const [pattern, destination, isAdded] of steps) {
          if (isAdded) {
            trie.add(pattern, destination);
            bound.push([pattern, destination]);
            continue;
          }
          const index = bound.findIndex(
            (other) => other[0] === pattern && other[1] === destination,
          );
          if (index < 0) continue;
          bound.splice(index, 1);
          trie.remove(pattern, destination);
        }
        for (const key of keys) {
          const into: number[] = [];
          trie.collect(key, into);
          const expected = bound
            .filter(([pattern]) => matches(wordsOf(pattern), wordsOf(key)))
            .map(([, destination]) => destination);
          expect(new Set(into)).toEqual(new Set(expected));
        }
      },
    ),
    { numRuns: 1_000 },
  );
});

test('a trie from which all is removed matches nothing, and keeps nothing', () => {
  fc.assert(
    fc.property(fc.array(patternOf, { maxLength: 20 }), (patterns) => {
      const trie = new TopicTrie<number>();
      for (const pattern of patterns) trie.add(pattern, 1);
      for (const pattern of patterns) trie.remove(pattern, 1);
      expect(trie).toEqual(new TopicTrie<number>());
    }),
  );
});

test('patterns that are made to be slow are not', () => {
  const trie = new TopicTrie<number>();
  for (let count = 1; count <= 40; count++) trie.add(`${'#.a.'.repeat(count)}b`, count);
  const into: number[] = [];
  trie.collect(`${'a.'.repeat(120)}c`, into);
  expect(into).toEqual([]);
  trie.collect(`${'a.'.repeat(120)}b`, into);
  expect(into).toHaveLength(40);
});
