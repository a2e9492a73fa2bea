/** Options that are spelt wrongly. */
import { expect, test } from 'vitest';
import { MillraceError } from './errors.ts';
import { checkOptionNames, optionFault, type OptionNames } from './option-names.ts';

interface Options {
  readonly concurrency?: number;
  readonly retry?: object;
  readonly to?: string;
}

const NAMES: OptionNames<Options> = { concurrency: true, retry: true, to: true };

test('options that there are may be given, also without a value', () => {
  expect(optionFault({}, NAMES)).toBeUndefined();
  expect(optionFault({ concurrency: 3, retry: undefined }, NAMES)).toBeUndefined();
});

test('an option that there is not is named, with the nearest one', () => {
  const hint = 'The options are concurrency, retry, to';
  const sentenceOf = (name: string): unknown => optionFault({ to: 'a', [name]: 1 }, NAMES);
  const has = (name: string): string => `has no option '${name}'`;
  const near = (name: string, meant: string): object => ({
    sentence: `${has(name)}: did you mean '${meant}'?`,
    hint,
  });
  expect(sentenceOf('concurency')).toEqual(near('concurency', 'concurrency'));
  expect(sentenceOf('Retry')).toEqual(near('Retry', 'retry'));
  expect(sentenceOf('retries')).toEqual(near('retries', 'retry'));
  expect(sentenceOf('two')).toEqual(near('two', 'to'));
  expect(sentenceOf('ttl')).toEqual({ sentence: has('ttl'), hint });
  expect(sentenceOf('timeout')).toEqual({ sentence: has('timeout'), hint });
  // What every object has is no option either.
  expect(sentenceOf('toString')).toEqual({ sentence: has('toString'), hint });
  expect(sentenceOf('x'.repeat(300))).toEqual({ sentence: has('x'.repeat(100)), hint });
});

test('options are an object', () => {
  const taken = (given: unknown): unknown => optionFault(given, NAMES)?.sentence;
  const told = 'takes its options as an object, and not';
  expect(taken('fast')).toBe(`${told} "fast"`);
  expect(taken(null)).toBe(`${told} null`);
  expect(taken([])).toBe(`${told} a list`);
  expect(taken(() => 1)).toBe(`${told} a function`);
});

test('who takes the options is named', () => {
  const check = (): void => checkOptionNames('a worker', { concurency: 3 }, NAMES);
  expect(check).toThrow(MillraceError);
  expect(check).toThrow("a worker has no option 'concurency': did you mean 'concurrency'?");
});
