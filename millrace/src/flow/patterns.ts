/**
 * Patterns over the records of one key in the order of their event times, as plain data (complex event processing).
 * Source: Flink's pattern API (docs/libs/cep.md); Agrawal et al., "Efficient Pattern Matching over Event Streams" (2008).
 */

export interface PatternSpec {
  /** In order; at least one. */
  readonly steps: readonly PatternStep[];
  /** From the first record of a match to its last, at most; undefined: for ever. Milliseconds. */
  readonly withinMs: number | undefined;
  readonly skip: SkipStrategy;
}

/** How a step follows the record before: `strict`, at once; `relaxed`, skipping what does not fit; `any`, also skipping what fits. */
export type Contiguity = 'strict' | 'relaxed' | 'any';

export interface PatternStep {
  readonly name: string;
  /** How it follows the step before; of the first step `relaxed`. */
  readonly contiguity: Contiguity;
  /** @param soFar records of the match so far, by step */
  readonly condition: (
    value: unknown,
    soFar: Readonly<Record<string, readonly unknown[]>>,
    key: unknown,
  ) => boolean;
  /** It must NOT occur between the step before and the one behind (strict: not directly; relaxed: nowhere between). */
  readonly isNegated: boolean;
  readonly timesMin: number;
  /** Infinity: no bound. */
  readonly timesMax: number;
  /** How repetitions follow one another; Flink's default is `relaxed`, `consecutive()` strict, `allowCombinations()` any. */
  readonly inner: Contiguity;
  readonly isGreedy: boolean;
  /** Ends the repetitions: a record for which it is true is not one of them. */
  readonly until: ((value: unknown, key: unknown) => boolean) | undefined;
}

/** Which further matches may begin or end in the records of one that was found. */
export type SkipStrategy =
  | { readonly kind: 'none' }
  | { readonly kind: 'toNext' }
  | { readonly kind: 'pastLast' }
  | { readonly kind: 'toFirst'; readonly step: string }
  | { readonly kind: 'toLast'; readonly step: string };
