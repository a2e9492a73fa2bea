/** A client of Server-Sent Events, for tests: reads when it is told to. */
export interface ServedEvent {
  readonly name: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

export class EventReader {
  readonly response: Response;
  readonly #abort: AbortController;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = '';

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    if (response.body === null) throw new Error('the answer has no body');
    this.#reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async open(url: string, lastEventId?: string): Promise<EventReader> {
    const abort = new AbortController();
    const headers = lastEventId === undefined ? {} : { 'last-event-id': lastEventId };
    return new EventReader(await fetch(url, { headers, signal: abort.signal }), abort);
  }

  /** undefined: it has ended. Comments, and blocks that only set the id, are passed over. */
  async next(): Promise<ServedEvent | undefined> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const event = parse(this.#text.slice(0, end));
        this.#text = this.#text.slice(end + 2);
        if (event !== undefined) return event;
        continue;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += value;
    }
  }

  /** Up to the first of that name, which is among them. */
  async until(name: string): Promise<ServedEvent[]> {
    const events: ServedEvent[] = [];
    for (;;) {
      const event = await this.next();
      if (event === undefined)
        throw new Error(`it has ended before ${name}: ${JSON.stringify(events)}`);
      events.push(event);
      if (event.name === name) return events;
    }
  }

  close(): void {
    this.#abort.abort();
  }
}

function parse(block: string): ServedEvent | undefined {
  const fields = new Map(
    block.split('\n').map((line) => {
      const at = line.indexOf(': ');
      return [line.slice(0, at), line.slice(at + 2)] as const;
    }),
  );
  const data = fields.get('data');
  if (data === undefined) return undefined;
  return {
    name: fields.get('event') ?? 'message',
    id: fields.get('id'),
    data: JSON.parse(data) as unknown,
  };
}
