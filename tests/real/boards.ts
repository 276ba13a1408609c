// What a dashboard of ours may be, by Grafana's own types: those of the newest release in full,
// with the options of each kind of panel, and those of the oldest one for the dashboard as such.

import type {
  Dashboard as NewestDashboard,
  FieldConfig,
  GraphFieldConfig,
  MatcherConfig,
  Panel as NewestPanel,
  RowPanel as NewestRow,
  TableFieldOptions,
} from "@grafana/schema";
import type * as BarChart from "@grafana/schema/dist/esm/raw/composable/barchart/panelcfg/x/BarChartPanelCfg_types.gen";
import type * as BarGauge from "@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen";
import type * as Stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as Table from "@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen";
import type * as TimeSeries from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type { Dashboard as OldestDashboard } from "grafana-schema-10";
import type { PrometheusDataQuery } from "grafana-schema-10/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen";

// JSON has the values of enums, and not their members.
type Plain<T> = unknown extends T
  ? T
  : T extends string
    ? `${T}`
    : T extends number
      ? `${T}` extends `${infer N extends number}`
        ? N
        : T
      : T extends (infer E)[]
        ? Plain<E>[]
        : T extends object
          ? { [K in keyof T]: Plain<T[K]> }
          : T;

type Required_<T, K extends keyof T> = T & { [P in K]-?: T[P] };

type Property<T, Prefix extends string = ""> = {
  [K in keyof T & string]: { id: `${Prefix}${K}`; value: Plain<NonNullable<T[K]>> };
}[keyof T & string];

type Fields<Custom> = {
  defaults: Omit<Plain<FieldConfig>, "custom"> & { custom?: Plain<Custom> };
  overrides: {
    matcher: Plain<MatcherConfig>;
    properties: (Property<Omit<FieldConfig, "custom">> | Property<Custom, "custom.">)[];
  }[];
};

type Query = Plain<Required_<PrometheusDataQuery, "refId" | "expr">>;

type Told = "datasource" | "description" | "gridPos" | "id" | "title";

type Of<Kind extends string, Options, Custom> = Omit<
  Plain<NewestPanel>,
  "fieldConfig" | "options" | "targets" | "type" | Told
> & { [K in Told]-?: NonNullable<Plain<NewestPanel>[K]> } & {
  type: Kind;
  fieldConfig: Fields<Custom>;
  options: Plain<Options>;
  targets: Query[];
};

// What the types ask for though every release has a default of its own.
type Defaulted<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;

type Row = Omit<Plain<NewestRow>, "type" | "panels"> & { type: "row"; panels: never[] };

type Panel =
  | Row
  | Of<"stat", Defaulted<Stat.Options, "percentChangeColorMode" | "showPercentChange" | "wideLayout">, {}>
  | Of<"table", Table.Options, TableFieldOptions>
  | Of<"timeseries", TimeSeries.Options, GraphFieldConfig>
  | Of<
      "bargauge",
      Defaulted<BarGauge.Options, "legend" | "maxVizHeight" | "namePlacement" | "sizing">,
      {}
    >
  | Of<"barchart", Defaulted<BarChart.Options, "xTickLabelSpacing">, BarChart.FieldConfig>;

export type Newest = Omit<Plain<NewestDashboard>, "panels"> & { panels: Panel[] };
export type Oldest = Plain<OldestDashboard>;
