/** A topic that a plan reads in several ways: each record is decoded for each of them, and counts at its time for the first. */
import type { Decoded, Feed, RecordReader } from './task-input.ts';

export class SeveralFeeds implements Feed {
  private readonly feeds: readonly Feed[];
  private ready: Feed[] = [];
  time = -1;

  constructor(feeds: readonly Feed[]) {
    this.feeds = feeds;
  }

  decode(reader: RecordReader): Decoded {
    const decoded = this.feeds.map((feed) => feed.decode(reader));
    this.ready = this.feeds.filter((_, index) => decoded[index] !== 'skipped');
    this.time = this.ready[0]?.time ?? -1;
    if (decoded.includes('waits')) return 'waits';
    return this.ready.length === 0 ? 'skipped' : 'ready';
  }

  count(): void {
    for (const feed of this.ready) feed.count();
  }

  deliver(): void {
    for (const feed of this.ready) feed.deliver();
  }
}
