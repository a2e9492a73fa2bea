/** Keeps about a fraction of the records: the same ones in every run, however the input is cut. */
import type { SampleNode } from '../../../flow/plan.ts';
import type { Failures } from './failures.ts';
import type { Operator } from './operator.ts';
import { Sampler } from './sampler.ts';

export class SampleOperator implements Operator {
  private readonly name: string;
  private readonly next: Operator;
  private readonly failures: Failures;
  private readonly sampler: Sampler;

  constructor(node: SampleNode, next: Operator, failures: Failures) {
    this.name = node.name;
    this.next = next;
    this.failures = failures;
    this.sampler = new Sampler(node);
  }

  push(value: unknown, key: unknown): boolean {
    let isKept: boolean;
    try {
      isKept = this.sampler.keeps(value, key);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
      return true;
    }
    return isKept ? this.next.push(value, key) : true;
  }

  drain(): Promise<void> {
    return this.next.drain();
  }
}
