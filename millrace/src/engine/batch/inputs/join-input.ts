/** The pairs of a join as the input of a task: the algorithm calls the operator that makes records of them. */
import type { JoinNode } from '../../../flow/plan.ts';
import type { Mark } from '../operators/failures.ts';
import type { EmitPair, JoinRunner } from '../record-input.ts';
import type { TaskInput } from './task-input.ts';

export class JoinInput implements TaskInput {
  needsDrain = false;
  private readonly node: JoinNode;
  private readonly runner: JoinRunner;
  private readonly pair: EmitPair;

  constructor(node: JoinNode, runner: JoinRunner, pair: EmitPair) {
    this.node = node;
    this.runner = runner;
    this.pair = (left, right, key) => {
      const goesOn = pair(left, right, key);
      if (!goesOn) this.needsDrain = true;
      return goesOn;
    };
  }

  get records(): number {
    return this.runner.records;
  }

  get bytes(): number {
    return this.runner.bytes;
  }

  get spills(): number {
    return this.runner.spills;
  }

  get spilledBytes(): number {
    return this.runner.spilledBytes;
  }

  read(): boolean {
    this.needsDrain = false;
    return this.runner.read(this.pair);
  }

  position(): string {
    return this.mark();
  }

  mark(): string {
    return `join ${this.node.name}`;
  }

  locate(mark: Mark): string {
    return String(mark);
  }

  close(): void {
    this.runner.close();
  }
}
