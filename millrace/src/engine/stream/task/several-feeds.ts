/**
 * A topic that a plan reads in several ways: each record is decoded for each of them, and comes at its time for the first. Those that could
 * not decode it tell when it is processed: until then it may be read once more.
 */
import type { HeldFailures } from './task-failures.ts';
import type { Decoded, Feed, RecordReader } from './task-input.ts';

export class SeveralFeeds implements Feed {
  time = -1;
  private readonly feeds: readonly Feed[];
  /** Of the current record, by feed. */
  private decoded: Decoded[] = [];

  private readonly failures: HeldFailures;

  /** @param failures of all feeds */
  constructor(feeds: readonly Feed[], failures: HeldFailures) {
    this.feeds = feeds;
    this.failures = failures;
  }

  decode(reader: RecordReader): Decoded {
    this.failures.clear();
    this.decoded = this.feeds.map((feed) => feed.decode(reader));
    return this.together();
  }

  /** A feed has what it waited for. */
  settle(feed: number, isReady: boolean): Decoded {
    this.decoded[feed] = isReady ? 'ready' : 'skipped';
    return this.together();
  }

  count(): void {
    for (const [index, feed] of this.feeds.entries())
      if (this.decoded[index] === 'ready') feed.count();
  }

  deliver(): void {
    this.failures.give();
    for (const [index, feed] of this.feeds.entries())
      if (this.decoded[index] === 'ready') feed.deliver();
  }

  private together(): Decoded {
    const first = this.decoded.indexOf('ready');
    this.time = this.feeds[first]?.time ?? -1;
    if (this.decoded.includes('waits')) return 'waits';
    if (first >= 0) return 'ready';
    this.failures.give();
    return 'skipped';
  }
}
