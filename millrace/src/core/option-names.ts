/**
 * Names of options that programs give. JavaScript has no compiler that finds one that is spelt wrongly, and what it says would be left out
 * without a word.
 */
import { MillraceError } from './errors.ts';
import { nearestName } from './nearest-name.ts';

/** The options that there are: the compiler finds one that is missing here. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

export interface OptionFault {
  /** Behind what takes the options: `has no option 'concurency': did you mean 'concurrency'?` */
  readonly sentence: string;
  readonly hint: string;
}

/** What is wrong with the names of options; undefined: nothing. */
export function optionFault(
  given: unknown,
  names: Readonly<Record<string, true>>,
): OptionFault | undefined {
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  if (!isObject) return fault(`takes its options as an object, and not ${shown(given)}`, names);
  for (const name of Object.keys(given))
    if (!Object.hasOwn(names, name)) return fault(unknownOption(name, names), names);
  return undefined;
}

/** @param taker what takes the options. @throws {MillraceError} ML_CONFIG_INVALID */
export function checkOptionNames(
  taker: string,
  given: unknown,
  names: Readonly<Record<string, true>>,
): void {
  const found = optionFault(given, names);
  if (found === undefined) return;
  const { sentence, hint } = found;
  throw new MillraceError('ML_CONFIG_INVALID', `${taker} ${sentence}`, { hint });
}

function fault(sentence: string, names: Readonly<Record<string, true>>): OptionFault {
  return { sentence, hint: `The options are ${Object.keys(names).join(', ')}` };
}

function unknownOption(name: string, names: Readonly<Record<string, true>>): string {
  // Of a short name nearly everything is left with a few edits.
  const near = nearestName(
    name,
    Object.keys(names),
    Math.min(4, Math.max(1, Math.floor(name.length / 2))),
  );
  const question = near === undefined ? '' : `: did you mean '${near}'?`;
  return `has no option '${name.slice(0, 100)}'${question}`;
}

function shown(given: unknown): string {
  if (typeof given === 'string') return JSON.stringify(given.slice(0, 100));
  if (typeof given === 'function') return 'a function';
  return Array.isArray(given) ? 'a list' : String(given);
}
