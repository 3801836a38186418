// Read one configuration, or follow an application's:
//
//	client get ADDRESS APPLICATION NAME
//	client follow ADDRESS APPLICATION [FILE]
package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"configapi/v1"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
)

// The library repeats reads. Writes are not in the file: after UNAVAILABLE, one may have been done.
//
//go:embed service-config.json
var serviceConfig string

// The server refuses pings closer than 10 s.
var pings = keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 10 * time.Second}

func connect(address string) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{grpc.WithDefaultServiceConfig(serviceConfig), grpc.WithKeepaliveParams(pings)}
	authorities, token := os.Getenv("CONFIGSVC_CA_FILE"), os.Getenv("CONFIGSVC_TOKEN_FILE")
	if authorities == "" {
		return grpc.Dial(address, append(options, grpc.WithInsecure())...)
	}
	tls, err := credentials.NewClientTLSFromFile(authorities, "")
	if err != nil {
		return nil, err
	}
	if token != "" {
		options = append(options, grpc.WithPerRPCCredentials(tokenFile(token)))
	}
	return grpc.Dial(address, append(options, grpc.WithTransportCredentials(tls))...)
}

type tokenFile string

func (file tokenFile) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	token, err := os.ReadFile(string(file)) // for each call, as tokens expire
	return map[string]string{"authorization": "Bearer " + strings.TrimSpace(string(token))}, err
}

func (tokenFile) RequireTransportSecurity() bool { return true }

// Details of an error. Without a reason, it comes from a library or a proxy: its code says nothing.
type Details struct {
	Code, Text, Reason string
	Retry              time.Duration
	Faults             map[string]string
}

func detailsOf(err error) Details {
	found := status.Convert(err)
	details := Details{Code: code.Code_name[int32(found.Code())], Text: found.Message(), Faults: map[string]string{}}
	for _, one := range found.Details() {
		switch detail := one.(type) {
		case *errdetails.ErrorInfo:
			if detail.Domain == "configsvc" {
				details.Reason = detail.Reason
			}
		case *errdetails.RetryInfo:
			details.Retry = detail.RetryDelay.AsDuration()
		case *errdetails.BadRequest:
			for _, fault := range detail.FieldViolations {
				details.Faults[fault.Field] = fault.Description
			}
		}
	}
	return details
}

func get(address, application, name string) (*configapiv1.Configuration, error) {
	connection, err := connect(address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	key := &configapiv1.ConfigurationKey{Application: application, Name: name}
	request := &configapiv1.GetConfigurationRequest{
		Ref:    &configapiv1.GetConfigurationRequest_Key{Key: key},
		Format: configapiv1.ContentFormat_CONTENT_FORMAT_JSON,
	}
	answer, err := configapiv1.NewConfigurationServiceClient(connection).GetConfiguration(ctx, request)
	return answer.GetConfiguration(), err
}

type object = map[string]any

func show(values object) {
	text, _ := json.Marshal(values)
	fmt.Println(string(text))
}

func (found Details) fields() object {
	return object{"code": found.Code, "text": found.Text, "reason": found.Reason,
		"retrySeconds": found.Retry.Seconds(), "faults": found.Faults}
}

func main() {
	if os.Args[1] == "follow" {
		follow(os.Args[2], os.Args[3], strings.Join(os.Args[4:], ""))
		os.Exit(1)
	}
	found, err := get(os.Args[2], os.Args[3], os.Args[4])
	if err != nil {
		show(detailsOf(err).fields())
		os.Exit(1)
	}
	show(object{"name": found.Name, "version": found.Version, "content": json.RawMessage(found.GetConfigJson())})
}
