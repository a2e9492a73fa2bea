/** Where records go into a sink: the writer of this task, which may have to be waited for. */
import { assert } from '../../../core/errors.ts';
import type { Part, SinkWriter } from '../../../flow/sink.ts';
import type { Failures } from './failures.ts';
import type { Operator } from './operator.ts';

export class SinkExit implements Operator {
  records = 0;
  private readonly name: string;
  private readonly writer: SinkWriter<unknown, unknown>;
  private readonly failures: Failures;

  constructor(name: string, writer: SinkWriter<unknown, unknown>, failures: Failures) {
    this.name = name;
    this.writer = writer;
    this.failures = failures;
  }

  push(value: unknown, key: unknown): boolean {
    const { writer } = this;
    try {
      writer.write(value, key);
    } catch (error) {
      this.failures.inRecord(this.name, error, value);
      return true;
    }
    this.records++;
    return !writer.isBusy;
  }

  /** A line, for sinks that take bytes. As `push`. */
  writeBytes(buffer: Uint8Array, start: number, end: number): boolean {
    const { writer } = this;
    assert(writer.writeBytes !== undefined, `${this.name} takes no bytes`);
    writer.writeBytes(buffer, start, end);
    this.records++;
    return !writer.isBusy;
  }

  async drain(): Promise<void> {
    if (this.writer.isBusy) await this.writer.drain();
  }

  finish(): Promise<readonly Part[]> {
    return this.writer.finish();
  }

  abort(): Promise<void> {
    return this.writer.abort();
  }
}
