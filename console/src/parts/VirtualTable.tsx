import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, useRef } from "react";

export type Column<T> = { title: string; cell: (row: T) => ReactNode; className?: string };

const ROW_PIXELS = 44;
const OVERSCAN = 12;

/** A table of thousands of rows, of which only those in sight are in the page. */
export function VirtualTable<T>(props: {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  keyOf: (row: T) => string;
  classOf?: (row: T) => string;
}) {
  const { label, columns, rows, keyOf, classOf } = props;
  const scrolled = useRef<HTMLElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scrolled.current,
    estimateSize: () => ROW_PIXELS,
    overscan: OVERSCAN,
  });
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolled region must be reachable by keys
    <section className="virtual" ref={scrolled} tabIndex={0} aria-label={label}>
      <table aria-rowcount={rows.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((one) => (
              <th key={one.title} scope="col" className={one.className}>
                {one.title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map((item) => {
            const row = rows[item.index] as T;
            return (
              <tr
                key={keyOf(row)}
                aria-rowindex={item.index + 2}
                className={classOf?.(row)}
                style={{ height: item.size, transform: `translateY(${item.start}px)` }}
              >
                {columns.map((one) => (
                  <td key={one.title} className={one.className}>
                    {one.cell(row)}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}
