/** Asks DuckDB, in this process, the same question in SQL: an oracle that nobody here has written. */
import { DuckDBInstance } from '@duckdb/node-api';

export interface DuckTable {
  /** Column name to SQL type. All values go in as text, or as null, and are cast. */
  readonly columns: Readonly<Record<string, string>>;
  readonly rows: readonly (readonly (string | number | boolean | null)[])[];
}

/** A database in memory, for many questions. */
export class Duck {
  private readonly instance: DuckDBInstance;

  private constructor(instance: DuckDBInstance) {
    this.instance = instance;
  }

  static async open(): Promise<Duck> {
    return new Duck(await DuckDBInstance.create(':memory:', { threads: '1' }));
  }

  /** Makes the tables anew and returns the rows of the answer. Integers come back as numbers. */
  async ask(tables: Readonly<Record<string, DuckTable>>, sql: string): Promise<unknown[][]> {
    const connection = await this.instance.connect();
    try {
      for (const [name, table] of Object.entries(tables)) {
        const columns = Object.entries(table.columns);
        await connection.run(
          `CREATE OR REPLACE TEMP TABLE "${name}" (${columns.map(([column, type]) => `"${column}" ${type}`).join(', ')})`,
        );
        if (table.rows.length === 0) continue;
        const values = table.rows.map((row) => `(${row.map(literal).join(', ')})`).join(',\n');
        await connection.run(`INSERT INTO "${name}" VALUES ${values}`);
      }
      const answer = await connection.runAndReadAll(sql);
      return answer.getRowsJS().map((row) => row.map(plain));
    } finally {
      connection.closeSync();
    }
  }

  close(): void {
    this.instance.closeSync();
  }
}

function literal(value: string | number | boolean | null): string {
  if (typeof value === 'string') return `'${value.replaceAll("'", "''")}'`;
  return String(value);
}

function plain(value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value;
}

/** Rows as text, sorted: equal for equal multisets. */
export function asMultiset(rows: readonly (readonly unknown[])[]): string[] {
  return rows.map((row) => JSON.stringify(row)).toSorted();
}
