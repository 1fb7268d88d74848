import {
  Counter,
  type CounterConfiguration,
  Gauge,
  type GaugeConfiguration,
  Histogram,
  type HistogramConfiguration,
  type Registry,
} from "prom-client";

// Several queues, reflectors, … share a registry and its metrics, told apart by their labels: a metric is made by who needs it first.

export function sharedCounter<L extends string>(registry: Registry, configuration: Omit<CounterConfiguration<L>, "registers">): Counter<L> {
  return (
    (registry.getSingleMetric(configuration.name) as Counter<L> | undefined) ?? new Counter({ ...configuration, registers: [registry] })
  );
}

export function sharedGauge<L extends string>(registry: Registry, configuration: Omit<GaugeConfiguration<L>, "registers">): Gauge<L> {
  return (registry.getSingleMetric(configuration.name) as Gauge<L> | undefined) ?? new Gauge({ ...configuration, registers: [registry] });
}

export function sharedHistogram<L extends string>(
  registry: Registry,
  configuration: Omit<HistogramConfiguration<L>, "registers">,
): Histogram<L> {
  return (
    (registry.getSingleMetric(configuration.name) as Histogram<L> | undefined) ?? new Histogram({ ...configuration, registers: [registry] })
  );
}
