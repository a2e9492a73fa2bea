/**
 * Timelines: for everybody the latest post of each author that they follow. Two tables meet by another key than their own, and whoever
 * follows, unfollows, posts or deletes changes just the timelines that it concerns: the materialised join of chapter 12 of Designing
 * Data-Intensive Applications.
 *
 *     node examples/feed.ts posts | millrace produce posts --json
 *     node examples/feed.ts follows | millrace produce follows --json
 *     millrace run examples/timeline.ts --brokers 127.0.0.1:9092
 */
import { flow, json, string, topic } from 'millrace';

export interface Post {
  readonly text: string;
}
export interface Follow {
  readonly follower: string;
  readonly author: string;
}
export interface TimelineEntry {
  readonly author: string;
  readonly text: string;
}

/** By author: the latest post; none: it was deleted. */
export const posts = topic('posts', { key: string(), value: json<Post | null>() });
/** By follower and author; none: that is over. */
export const follows = topic('follows', { key: string(), value: json<Follow | null>() });
export const timelines = topic('timelines', {
  key: string(),
  value: json<readonly TimelineEntry[]>(),
});

export default flow('timeline', (f) => {
  const latestPosts = f.table(posts);

  f.table(follows)
    .joinForeign(
      'followed-posts',
      latestPosts,
      (follow) => follow.author,
      ({ follower, author }, { text }) => ({ follower, author, text }),
    )
    .groupBy((entry) => entry.follower)
    .aggregate('timelines', {
      init: (): readonly TimelineEntry[] => [],
      add: (entries, { author, text }) => [...entries, { author, text }].sort(byAuthor),
      subtract: (entries, { author }) => entries.filter((entry) => entry.author !== author),
    })
    .write(timelines);
});

function byAuthor(a: TimelineEntry, b: TimelineEntry): number {
  return a.author < b.author ? -1 : a.author > b.author ? 1 : 0;
}
