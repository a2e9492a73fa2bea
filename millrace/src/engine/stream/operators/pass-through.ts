/** Records as they come: union, and the changes of a table as a stream. */
import type { OperatorContext, Receiver } from './operator.ts';
import { QuietOperator } from './quiet-operator.ts';

/** @hot */
export class PassThrough extends QuietOperator implements Receiver {
  readonly inputs: readonly Receiver[];
  private readonly output: Receiver;

  constructor(context: OperatorContext) {
    super();
    this.output = context.output;
    this.inputs = context.node.inputs.map(() => this);
  }

  receive(key: unknown, value: unknown, time: number): void {
    this.output.receive(key, value, time, undefined);
  }
}
