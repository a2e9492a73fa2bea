/**
 * The bindings of a topic exchange: a trie of words, in which `*` is any one word and `#` any number of them, none too.
 *
 * A routing key is matched word by word with the set of nodes that its words so far lead to, so the time is bounded by words times nodes
 * whatever patterns there are; following one path after another would take exponential time for patterns with many `#`.
 *
 * Words lie between dots, and may be empty: `a..b` has three. The empty key has none: `#` and the empty pattern match it, `*` does not.
 *
 * Source: AMQP 0-9-1 §3.1.3.3 (topic exchange), RabbitMQ's reading of empty words.
 */
import { DestinationSet } from './destination-set.ts';

class TrieNode<Destination> {
  readonly parent: TrieNode<Destination> | undefined;
  readonly word: string;
  /** It stands for any number of words: once reached, it stays. */
  readonly isHash: boolean;
  children: Map<string, TrieNode<Destination>> | undefined = undefined;
  star: TrieNode<Destination> | undefined = undefined;
  hash: TrieNode<Destination> | undefined = undefined;
  bound: DestinationSet<Destination> | undefined = undefined;
  /** The step in which it was last added to the set of nodes. */
  step = 0;

  constructor(parent: TrieNode<Destination> | undefined, word: string) {
    this.parent = parent;
    this.word = word;
    this.isHash = word === '#' && parent !== undefined;
  }

  get isUnused(): boolean {
    return (
      this.bound === undefined &&
      this.children === undefined &&
      this.star === undefined &&
      this.hash === undefined
    );
  }
}

export class TopicTrie<Destination> {
  private readonly root = new TrieNode<Destination>(undefined, '');
  private active: TrieNode<Destination>[] = [];
  private reached: TrieNode<Destination>[] = [];
  private step = 0;

  add(pattern: string, destination: Destination): void {
    let node = this.root;
    for (const word of wordsOf(pattern)) node = childFor(node, word);
    node.bound ??= new DestinationSet();
    node.bound.add(destination);
  }

  /** Takes back one `add`. */
  remove(pattern: string, destination: Destination): void {
    let node: TrieNode<Destination> | undefined = this.root;
    for (const word of wordsOf(pattern)) {
      node = childOf(node, word);
      if (node === undefined) return;
    }
    node.bound?.remove(destination);
    if (node.bound?.isEmpty === true) node.bound = undefined;
    for (let at = node; at.parent !== undefined && at.isUnused; at = at.parent)
      detach(at.parent, at);
  }

  /** Appends what is bound with a pattern that matches; a destination as often as patterns of it do. */
  collect(routingKey: string, into: Destination[]): void {
    this.step++;
    this.active.length = 0;
    this.reach(this.root, this.active);
    if (routingKey !== '') this.walk(routingKey);
    for (let index = 0; index < this.active.length; index++)
      this.active[index]?.bound?.collect(into);
  }

  private walk(routingKey: string): void {
    let start = 0;
    while (this.active.length > 0) {
      const dot = routingKey.indexOf('.', start);
      const word = dot === -1 ? routingKey.slice(start) : routingKey.slice(start, dot);
      this.advance(word);
      if (dot === -1) return;
      start = dot + 1;
    }
  }

  private advance(word: string): void {
    const { active, reached } = this;
    this.step++;
    reached.length = 0;
    for (let index = 0; index < active.length; index++) {
      const node = active[index];
      if (node === undefined) continue;
      if (node.isHash) this.reach(node, reached);
      const child = node.children?.get(word);
      if (child !== undefined) this.reach(child, reached);
      if (node.star !== undefined) this.reach(node.star, reached);
    }
    this.active = reached;
    this.reached = active;
  }

  /** Adds a node, and what follows it without a word. */
  private reach(node: TrieNode<Destination>, set: TrieNode<Destination>[]): void {
    if (node.step === this.step) return;
    node.step = this.step;
    set.push(node);
    if (node.hash !== undefined) this.reach(node.hash, set);
  }
}

/** The words of a pattern; `#` after `#` says nothing more. */
function wordsOf(pattern: string): string[] {
  if (pattern === '') return [];
  return pattern.split('.').filter((word, index, all) => word !== '#' || all[index - 1] !== '#');
}

function childOf<Destination>(
  node: TrieNode<Destination>,
  word: string,
): TrieNode<Destination> | undefined {
  if (word === '*') return node.star;
  return word === '#' ? node.hash : node.children?.get(word);
}

function childFor<Destination>(node: TrieNode<Destination>, word: string): TrieNode<Destination> {
  const present = childOf(node, word);
  if (present !== undefined) return present;
  const child = new TrieNode(node, word);
  if (word === '*') node.star = child;
  else if (word === '#') node.hash = child;
  else (node.children ??= new Map()).set(word, child);
  return child;
}

function detach<Destination>(parent: TrieNode<Destination>, child: TrieNode<Destination>): void {
  if (parent.star === child) parent.star = undefined;
  else if (parent.hash === child) parent.hash = undefined;
  else {
    parent.children?.delete(child.word);
    if (parent.children?.size === 0) parent.children = undefined;
  }
}
