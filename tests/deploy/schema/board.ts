// What a committed dashboard must be, in Grafana's own types. JSON holds the values of enums, so each enum stands for its values.
import type { AnnotationQuery, Dashboard, DataQuery, Panel, RowPanel } from '@grafana/schema';

type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

interface PrometheusQuery extends DataQuery {
  expr: string;
  legendFormat?: string;
  instant?: boolean;
  range?: boolean;
  format?: 'time_series' | 'table' | 'heatmap';
}

interface Mark extends AnnotationQuery {
  expr: string;
  titleFormat: string;
  textFormat: string;
  tagKeys: string;
  step: string;
  useValueForTime?: 'on';
}

interface Shown extends Omit<Panel, 'targets'> {
  targets: PrometheusQuery[];
}

export interface Board extends Omit<Json<Dashboard>, 'annotations' | 'panels'> {
  annotations: { list: Json<Mark>[] };
  panels: (Json<Shown> | Json<RowPanel>)[];
}
