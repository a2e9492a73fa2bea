/**
 * Configuration as a table: every key has a name, a type, a default, an allowed range and a sentence of documentation,
 * in one place that parsing, validation, DescribeConfigs and the reference pages all read.
 *
 * Owns: the kinds of keys, how their text is parsed and printed. The tables are `settings.ts` (the broker) and
 * `topic-config.ts` (topics).
 *
 * Values travel as text, as Kafka's do; a parsed value is a number, boolean, word or list of words. A Kafka `long` at
 * or above 2^53-1 means "without limit" everywhere it may be used, so it is held as MAX_SAFE_INTEGER.
 */

/** Kafka's names of configuration types (DescribeConfigs). */
export type ConfigType = 'boolean' | 'string' | 'int' | 'long' | 'double' | 'list';

export interface ConfigKey<Value> {
  readonly name: string;
  readonly type: ConfigType;
  readonly default: Value;
  /** What it does, in sentences. */
  readonly doc: string;
  /** What is allowed, for people: `1 to 10000`, `commit, interval or os`. */
  readonly allowed: string;
  /** false: accepted, kept and shown so that tools work, but without effect here. */
  readonly effective: boolean;
  /** For a topic's key: the broker setting that gives its default. */
  readonly synonym: string | undefined;
  /** undefined when the text is not an allowed value. */
  parse(text: string): Value | undefined;
  format(value: Value): string;
}

/** What a table of keys parses into: the same property names, with the values. */
export type ValuesOf<Table> = {
  readonly [Property in keyof Table]: Table[Property] extends ConfigKey<infer Value>
    ? Value
    : never;
};

export type ConfigTable = Readonly<Record<string, ConfigKey<unknown>>>;

interface KeyOptions {
  readonly doc: string;
  readonly synonym?: string;
  /** Default true. */
  readonly effective?: boolean;
}

interface RangeOptions extends KeyOptions {
  readonly default: number;
  readonly min: number;
  readonly max: number;
}

const INT_MAX = 2_147_483_647;
const LONG_MAX_TEXT = '9223372036854775807';
/** "Without limit" of a Kafka long. */
export const UNLIMITED: number = Number.MAX_SAFE_INTEGER;

/** A 32-bit integer. */
export function int(name: string, options: RangeOptions): ConfigKey<number> {
  return integer('int', name, { ...options, max: Math.min(options.max, INT_MAX) });
}

/** A 64-bit integer, limited to the safe ones: larger is `UNLIMITED`. */
export function long(name: string, options: RangeOptions): ConfigKey<number> {
  return integer('long', name, options);
}

function integer(type: 'int' | 'long', name: string, options: RangeOptions): ConfigKey<number> {
  const { min, max } = options;
  return {
    ...common(name, options),
    type,
    default: options.default,
    allowed: max === UNLIMITED ? `${min} or more` : `${min} to ${max}`,
    parse: (text) => {
      if (!/^[+-]?\d{1,19}$/.test(text)) return undefined;
      const value = Math.min(Number(text), UNLIMITED);
      return value >= min && value <= max ? value : undefined;
    },
    format: (value) => (value === UNLIMITED ? LONG_MAX_TEXT : String(value)),
  };
}

/** A decimal number. */
export function double(name: string, options: RangeOptions): ConfigKey<number> {
  const { min, max } = options;
  return {
    ...common(name, options),
    type: 'double',
    default: options.default,
    allowed: `${min} to ${max}`,
    parse: (text) => {
      if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/.test(text)) return undefined;
      const value = Number(text);
      return value >= min && value <= max ? value : undefined;
    },
    format: (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value)),
  };
}

export function boolean(
  name: string,
  options: KeyOptions & { readonly default: boolean; readonly only?: boolean },
): ConfigKey<boolean> {
  const { only } = options;
  return {
    ...common(name, options),
    type: 'boolean',
    default: options.default,
    allowed: only === undefined ? 'true or false' : `${only} only`,
    parse: (text) => {
      const word = text.toLowerCase();
      if (word !== 'true' && word !== 'false') return undefined;
      const value = word === 'true';
      return only === undefined || value === only ? value : undefined;
    },
    format: String,
  };
}

/** Any text that `isAllowed`; '' is the default, and allowed. */
export function text(
  name: string,
  options: KeyOptions & {
    readonly allowed: string;
    readonly isAllowed: (value: string) => boolean;
  },
): ConfigKey<string> {
  return {
    ...common(name, options),
    type: 'string',
    default: '',
    allowed: options.allowed,
    parse: (value) => (value === '' || options.isAllowed(value) ? value : undefined),
    format: (value) => value,
  };
}

/** One of a set of words. */
export function choice<const Word extends string>(
  name: string,
  words: readonly Word[],
  options: KeyOptions & { readonly default: NoInfer<Word> },
): ConfigKey<Word> {
  return {
    ...common(name, options),
    type: 'string',
    default: options.default,
    allowed: either(words),
    parse: (text) => words.find((word) => word === text),
    format: (value) => value,
  };
}

/** A list of words, separated by commas, without repetition. An empty `words` allows any. */
export function list<const Word extends string>(
  name: string,
  words: readonly Word[],
  options: KeyOptions & { readonly default: readonly NoInfer<Word>[]; readonly atLeast: number },
): ConfigKey<readonly Word[]> {
  return {
    ...common(name, options),
    type: 'list',
    default: options.default,
    allowed: words.length === 0 ? 'a list' : `a list of ${either(words)}`,
    parse: (value) => {
      const items = value.split(',').map((item) => item.trim());
      if (items.length === 1 && items[0] === '') items.pop();
      const known = items.filter((item): item is Word =>
        words.length === 0 ? true : (words as readonly string[]).includes(item),
      );
      const sound = known.length === items.length && new Set(items).size === items.length;
      return sound && items.length >= options.atLeast ? known : undefined;
    },
    format: (value) => value.join(','),
  };
}

function common(
  name: string,
  options: KeyOptions,
): Pick<ConfigKey<unknown>, 'name' | 'doc' | 'effective' | 'synonym'> {
  return {
    name,
    doc: options.doc,
    effective: options.effective ?? true,
    synonym: options.synonym,
  };
}

/** `a`, `a or b`, `a, b or c`. */
function either(words: readonly string[]): string {
  const last = words.at(-1) ?? '';
  return words.length < 2 ? last : `${words.slice(0, -1).join(', ')} or ${last}`;
}

/** A table as a map from the key's public name to its property and definition. */
export function byName<Table extends object>(
  table: Table,
): ReadonlyMap<string, { readonly property: keyof Table; readonly key: ConfigKey<unknown> }> {
  return new Map(
    Object.entries(table).map(([property, key]) => [
      (key as ConfigKey<unknown>).name,
      { property: property as keyof Table, key: key as ConfigKey<unknown> },
    ]),
  );
}

/** The defaults of a table. */
export function defaultsOf<Table extends object>(table: Table): ValuesOf<Table> {
  return Object.fromEntries(
    Object.entries(table).map(([property, key]) => [property, (key as ConfigKey<unknown>).default]),
  ) as ValuesOf<Table>;
}
