package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// The SDK's variables that decide whether there are traces, and where they go.
// It reads the others (headers, certificates, samplers, batches) itself.
const (
	varDisabled       = "OTEL_SDK_DISABLED"
	varExporter       = "OTEL_TRACES_EXPORTER"
	varEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	varTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	varProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL"
	varTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
)

// flushLimit bounds the sending of what is left at the end.
const flushLimit = 5 * time.Second

// complainEvery is the pause between two lines that say that traces cannot be
// sent.
const complainEvery = time.Minute

// Traces records spans. Those of nil, and of traces that are off, cost nothing.
type Traces struct {
	tracer   trace.Tracer
	provider *sdk.TracerProvider
}

// On reports whether anything is recorded.
func (t *Traces) On() bool { return t != nil && t.provider != nil }

// NewTraces reads from the variables whether there are traces, and where they
// go. It returns an error that names the variable which cannot be followed. out
// is where they are printed when that is asked for.
func NewTraces(ctx context.Context, variable func(name string) string, version string, out io.Writer, log *slog.Logger) (*Traces, error) {
	exporter, err := newExporter(ctx, variable, out)
	if err != nil || exporter == nil {
		return &Traces{}, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "portico"), attribute.String("service.version", version)),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // the last has the last word
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&complaints{log: log})
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return &Traces{provider: provider, tracer: provider.Tracer("github.com/portico-id/portico")}, nil
}

// newExporter returns what sends the spans, or nil.
func newExporter(ctx context.Context, variable func(string) string, out io.Writer) (sdk.SpanExporter, error) {
	if strings.EqualFold(variable(varDisabled), "true") {
		return nil, nil //nolint:nilnil // nothing is to be sent
	}
	endpoint := variable(varTracesEndpoint)
	if base := variable(varEndpoint); endpoint == "" && base != "" {
		endpoint = strings.TrimRight(base, "/") + "/v1/traces"
	}
	switch name := variable(varExporter); {
	case name == "console":
		return stdouttrace.New(stdouttrace.WithWriter(out))
	case name == "none", name == "" && endpoint == "":
		return nil, nil //nolint:nilnil // nothing is to be sent
	case name != "" && name != "otlp":
		return nil, errors.New(varExporter + " must be otlp, console or none")
	}
	for _, name := range []string{varProtocol, varTracesProtocol} {
		if protocol := variable(name); protocol != "" && protocol != "http/protobuf" {
			return nil, errors.New(name + " must be http/protobuf: Portico speaks no other")
		}
	}
	return newOTLP(ctx, endpoint)
}

// newOTLP returns what sends spans to an endpoint, or to where the
// specification says.
func newOTLP(ctx context.Context, endpoint string) (sdk.SpanExporter, error) {
	if endpoint == "" {
		return otlptracehttp.New(ctx)
	}
	if u, err := url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New(varEndpoint + " is not an absolute http or https URL")
	}
	return otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
}

// Close sends what is left.
func (t *Traces) Close(ctx context.Context) error {
	if !t.On() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushLimit)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// complaints logs that spans cannot be sent, and not for each that is not.
type complaints struct {
	log  *slog.Logger
	last atomic.Int64
}

// Handle logs the error.
func (c *complaints) Handle(err error) {
	now, last := time.Now().UnixNano(), c.last.Load()
	if now-last < int64(complainEvery) || !c.last.CompareAndSwap(last, now) {
		return
	}
	c.log.WarnContext(context.Background(), "traces cannot be sent", slog.Any("error", err))
}
