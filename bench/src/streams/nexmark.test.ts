import { expect, test } from 'vitest';
import { endOf, nexmarkEvents } from './nexmark.ts';

test('the events are the same however many are asked for', () => {
  const few = [...nexmarkEvents(500)];
  const many = [...nexmarkEvents(2_000)];
  expect(many.slice(0, few.length)).toEqual(few);
  expect(few.filter(({ kind }) => kind === 'bid')).toHaveLength(500);
});

test('bids are for auctions that were there before, in order of time', () => {
  const opened = new Map<number, number>();
  let last = 0;
  for (const event of nexmarkEvents(5_000)) {
    const { dateTime } = event.kind === 'bid' ? event.bid : event.auction;
    expect(dateTime).toBeGreaterThanOrEqual(last);
    last = dateTime;
    if (event.kind === 'auction') opened.set(event.auction.id, dateTime);
    else expect(opened.has(event.bid.auction)).toBe(true);
  }
  expect(last).toBeLessThan(endOf(5_000));
  expect([...opened.keys()]).toEqual([...opened.keys()].sort((a, b) => a - b));
});

test('half of the bids are for hot auctions, and prices spread over six powers of ten', () => {
  const bids = [...nexmarkEvents(20_000)].flatMap((event) =>
    event.kind === 'bid' ? [event.bid] : [],
  );
  const hot = bids.filter(({ auction }) => (auction - 1000) % 100 === 0).length / bids.length;
  expect(hot).toBeGreaterThan(0.48);
  expect(hot).toBeLessThan(0.54);
  const cheap = bids.filter(({ price }) => price < 100_000).length / bids.length;
  expect(cheap).toBeGreaterThan(0.48);
  expect(cheap).toBeLessThan(0.52);
  expect(Math.min(...bids.map(({ price }) => price))).toBeGreaterThanOrEqual(100);
});
