/** What is remembered, against a list that is searched: the latest records, by number and age. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { OnceFindings, type OnceMark, OnceTable } from './once-table.ts';

const RECORDS_MAX = 12;
const WINDOW_MS = 50;

interface Step {
  readonly id: string;
  readonly count: number;
  readonly laterMs: number;
}

const steps = fc.array(
  fc.record({
    id: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'),
    count: fc.integer({ min: 1, max: 4 }),
    laterMs: fc.constantFrom(0, 1, 1, 5, 60),
  }),
  { maxLength: 60 },
);

interface Written extends OnceMark {
  readonly offset: number;
}

/** All that was ever written: an id again only when it is not remembered any more. */
class Model {
  readonly written: Written[] = [];
  nowMs = 1_000;
  /** Their records, for whoever does not look through the log again: room that is free later does not bring them back. */
  readonly #forgotten = new Set<Written>();

  /** Requests, the latest first. */
  requests(): Written[][] {
    const requests: Written[][] = [];
    for (const each of this.written.toReversed()) {
      const same = requests.find(([first]) => first?.id === each.id);
      if (same === undefined) requests.push([each]);
      // Of an id only its last request counts.
      else if (same[0]?.fingerprint === each.fingerprint) same.unshift(each);
    }
    return requests;
  }

  remembered(): Map<string, number[]> {
    const found = new Map<string, number[]>();
    let records = 0;
    for (const request of this.requests()) {
      records += request.length;
      const [first] = request;
      if (first === undefined || records > RECORDS_MAX || this.#forgotten.has(first)) break;
      if (first.atMs < this.nowMs - WINDOW_MS) break;
      found.set(
        first.id,
        request.map(({ offset }) => offset),
      );
    }
    return found;
  }

  forget(): void {
    const remembered = new Set([...this.remembered().values()].flat());
    for (const each of this.written) if (!remembered.has(each.offset)) this.#forgotten.add(each);
  }

  step({ id, count, laterMs }: Step): Written[] {
    this.nowMs += laterMs;
    if (this.remembered().has(id)) return [];
    const fingerprint = String(this.written.length);
    const marks = Array.from({ length: count }, (_, index) => ({
      id,
      fingerprint,
      index,
      count,
      atMs: this.nowMs,
      offset: this.written.length + index,
    }));
    this.written.push(...marks);
    return marks;
  }
}

function seen(table: OnceTable, nowMs: number): Map<string, (number | undefined)[]> {
  const found = new Map<string, (number | undefined)[]>();
  for (const id of 'abcdefgh') {
    const entry = table.find(id, nowMs);
    if (entry !== undefined)
      found.set(
        id,
        entry.places.map((place) => place?.offset),
      );
  }
  return found;
}

function place(offset: number) {
  return { topic: 't', partition: 0, offset };
}

test('what is written is remembered as a list has it', () => {
  fc.assert(
    fc.property(steps, (all) => {
      const model = new Model();
      const table = new OnceTable({ recordsMax: RECORDS_MAX, windowMs: WINDOW_MS });
      for (const step of all) {
        for (const { offset, ...mark } of model.step(step)) table.add(mark, place(offset));
        model.forget();
        expect(seen(table, model.nowMs)).toEqual(model.remembered());
        expect(table.records).toBeLessThanOrEqual(RECORDS_MAX);
      }
    }),
  );
});

test('what is found in the log, in any order, is what was remembered', () => {
  fc.assert(
    fc.property(steps, fc.infiniteStream(fc.nat()), fc.nat(60), (all, numbers, knownCount) => {
      const model = new Model();
      // Each at another time, so that there is an order.
      for (const step of all) model.step({ ...step, laterMs: step.laterMs + 1 });
      const table = new OnceTable({ recordsMax: RECORDS_MAX, windowMs: WINDOW_MS });
      for (const { offset, ...mark } of model.written.slice(0, knownCount))
        table.add(mark, place(offset));
      const findings = new OnceFindings(RECORDS_MAX);
      const shuffled = model.written
        .map((each) => ({ each, rank: numbers.next().value ?? 0 }))
        .toSorted((left, right) => left.rank - right.rank);
      for (const { each } of shuffled) {
        const { offset, ...mark } = each;
        findings.add(mark, place(offset));
      }
      table.merge(findings);
      expect(seen(table, model.nowMs)).toEqual(model.remembered());
    }),
  );
});
