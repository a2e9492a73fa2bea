/**
 * Events of an auction house, after Nexmark: of 50 events one is a person, three are auctions and 46 bids. Every event follows from its
 * number alone, so that any part of the stream can be made anywhere, and an oracle needs no input but the count.
 *
 * As in Beam's generator: ids from 1000, hot auctions and bidders, prices round(10^(6u) · 100). Unlike it, bids are only for auctions
 * that were there before, and times do not jitter: what joins what must not depend on how a side interleaves its inputs. Persons are
 * only counted: no query reads them.
 *
 * Source: Tucker et al., NEXMark, 2008; Apache Beam, sdk/nexmark.
 */

export interface Bid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly dateTime: number;
  readonly extra: string;
}

export interface Auction {
  readonly id: number;
  readonly itemName: string;
  readonly initialBid: number;
  readonly reserve: number;
  readonly dateTime: number;
  readonly expires: number;
  readonly seller: number;
  readonly category: number;
  readonly extra: string;
}

const EVENTS_PER_EPOCH = 50;
const PERSONS_PER_EPOCH = 1;
const AUCTIONS_PER_EPOCH = 3;
const FIRST_BID = PERSONS_PER_EPOCH + AUCTIONS_PER_EPOCH;
const FIRST_ID = 1000;
const FIRST_CATEGORY = 10;
const CATEGORIES = 5;
const HOT_AUCTION_RATIO = 2;
const HOT_BIDDER_RATIO = 4;
const HOT_STEP = 100;
const AUCTIONS_IN_FLIGHT = 100;
const ACTIVE_PERSONS = 1000;
const EXTRA_BYTES = 68;

/** When it begins: the same in every run, and not so old that a broker would forget it. */
const BEGIN_MS = Date.UTC(2026, 0, 1);
const EVENTS_PER_SECOND = 1000;

/** One sequence per event (SplitMix32, Steele et al. 2014). */
class EventRandom {
  #state = 0;

  seed(event: number): void {
    this.#state = (Math.imul(event, 0x9e3779b9) ^ 0x5bd1e995) >>> 0;
  }

  /** Uniform in [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let z = this.#state;
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return ((z ^ (z >>> 16)) >>> 0) / 2 ** 32;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  price(): number {
    return Math.round(10 ** (this.next() * 6) * 100);
  }

  /** About `bytes` letters, a fifth more or less. */
  letters(bytes: number): string {
    const length = Math.round(bytes * (0.8 + 0.4 * this.next()));
    let text = '';
    while (text.length < length) text += (this.next() * 36 ** 6).toString(36).slice(0, 5);
    return text.slice(0, length);
  }
}

const random = new EventRandom();

export type NexmarkEvent =
  | { readonly kind: 'bid'; readonly bid: Bid }
  | { readonly kind: 'auction'; readonly auction: Auction };

/** The first events, up to the last of so many bids, in order; persons are left out. */
export function* nexmarkEvents(bids: number): Generator<NexmarkEvent> {
  let count = 0;
  for (let event = 0; count < bids; event++) {
    const at = event % EVENTS_PER_EPOCH;
    if (at >= FIRST_BID) {
      count++;
      yield { kind: 'bid', bid: bidOf(event) };
    } else if (at >= PERSONS_PER_EPOCH) yield { kind: 'auction', auction: auctionOf(event) };
  }
}

/** All of so many bids are before then. */
export function endOf(bids: number): number {
  return timeOf(Math.ceil((bids * EVENTS_PER_EPOCH) / (EVENTS_PER_EPOCH - FIRST_BID)) + 1);
}

function timeOf(event: number): number {
  return BEGIN_MS + Math.floor((event * 1000) / EVENTS_PER_SECOND);
}

function bidOf(event: number): Bid {
  random.seed(event);
  const auctions = auctionsBefore(event);
  const persons = personsBefore(event);
  const isHotAuction = random.below(HOT_AUCTION_RATIO) > 0;
  const auction = isHotAuction
    ? Math.floor((auctions - 1) / HOT_STEP) * HOT_STEP
    : recent(auctions, AUCTIONS_IN_FLIGHT);
  const isHotBidder = random.below(HOT_BIDDER_RATIO) > 0;
  const bidder = isHotBidder
    ? Math.floor((persons - 1) / HOT_STEP) * HOT_STEP
    : recent(persons, ACTIVE_PERSONS);
  return {
    auction: FIRST_ID + auction,
    bidder: FIRST_ID + bidder,
    price: random.price(),
    dateTime: timeOf(event),
    extra: random.letters(EXTRA_BYTES),
  };
}

function auctionOf(event: number): Auction {
  random.seed(event);
  const initialBid = random.price();
  return {
    id: FIRST_ID + auctionsBefore(event),
    itemName: random.letters(12),
    initialBid,
    reserve: initialBid + random.price(),
    dateTime: timeOf(event),
    expires: timeOf(event) + 10_000,
    seller: FIRST_ID + recent(personsBefore(event), ACTIVE_PERSONS),
    category: FIRST_CATEGORY + random.below(CATEGORIES),
    extra: random.letters(EXTRA_BYTES),
  };
}

/** One of the last `window` of `count`. */
function recent(count: number, window: number): number {
  const active = Math.min(count, window);
  return count - active + random.below(active);
}

function personsBefore(event: number): number {
  return Math.floor(event / EVENTS_PER_EPOCH) + Math.min(event % EVENTS_PER_EPOCH, 1);
}

/** Auctions of events before this one. */
function auctionsBefore(event: number): number {
  const at = (event % EVENTS_PER_EPOCH) - PERSONS_PER_EPOCH;
  const epochs = Math.floor(event / EVENTS_PER_EPOCH);
  return epochs * AUCTIONS_PER_EPOCH + Math.min(Math.max(at, 0), AUCTIONS_PER_EPOCH);
}
