/** Keeps about a fraction of the records of a stream: the same ones in every run, and those that the batch engine keeps. */
import type { SampleNode } from '../../../flow/plan.ts';
import { Sampler } from '../../batch/operators/sampler.ts';
import type { OperatorContext, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';
import { recordFailed } from './record-failure.ts';

export class SampleStream extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[] = [this];
  private readonly context: OperatorContext<SampleNode>;
  private readonly sampler: Sampler;

  constructor(context: OperatorContext<SampleNode>) {
    super();
    this.context = context;
    this.sampler = new Sampler(context.node);
  }

  receive(key: unknown, value: unknown, time: number): void {
    let isKept: boolean;
    try {
      isKept = this.sampler.keeps(value, key);
    } catch (error) {
      recordFailed(this.context, error, value, key);
      return;
    }
    if (isKept) this.context.output.receive(key, value, time, undefined);
  }
}
