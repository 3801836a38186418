// What a client on grpc-go gets: cases ADDRESS PREFIX [CA CERTIFICATE KEY]
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"configapi/v1"
	"google.golang.org/genproto/googleapis/longrunning"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

var prefix string
var service configapiv1.ConfigurationServiceClient
var connection *grpc.ClientConn

const format = configapiv1.ContentFormat_CONTENT_FORMAT_JSON

func name(text string) string { return prefix + "/" + text }

func shop() *configapiv1.ApplicationRef {
	return &configapiv1.ApplicationRef{Ref: &configapiv1.ApplicationRef_Name{Name: "shop"}}
}

func item(text, content string) *configapiv1.ConfigurationItem {
	return &configapiv1.ConfigurationItem{Application: shop(), Name: name(text),
		Content: &configapiv1.ConfigurationItem_ConfigJson{ConfigJson: content}}
}

func create(ctx context.Context, text, content string, options ...grpc.CallOption) (int64, error) {
	request := &configapiv1.CreateConfigurationRequest{Application: shop(), Name: name(text),
		Content: &configapiv1.CreateConfigurationRequest_ConfigJson{ConfigJson: content}}
	answer, err := service.CreateConfiguration(ctx, request, options...)
	return answer.GetConfiguration().GetVersion(), err
}

func get(ctx context.Context, text string, options ...grpc.CallOption) (*configapiv1.Configuration, error) {
	key := &configapiv1.ConfigurationKey{Application: "shop", Name: name(text)}
	request := &configapiv1.GetConfigurationRequest{Ref: &configapiv1.GetConfigurationRequest_Key{Key: key}, Format: format}
	answer, err := service.GetConfiguration(ctx, request, options...)
	return answer.GetConfiguration(), err
}

func text(content string) string {
	var found struct{ Text string }
	json.Unmarshal([]byte(content), &found)
	return found.Text
}

func end(err error) string {
	if err == nil || err == io.EOF {
		return "OK"
	}
	found := status.Convert(err)
	reason := ""
	for _, one := range found.Details() {
		if info, is := one.(*errdetails.ErrorInfo); is {
			reason = " " + info.Reason
		}
	}
	return code.Code_name[int32(found.Code())] + reason
}

func watch(ctx context.Context, text string) (configapiv1.ConfigurationService_WatchConfigurationsClient, error) {
	selector := &configapiv1.ConfigurationSelector{Application: shop(), Names: []string{name(text)}}
	request := &configapiv1.WatchConfigurationsRequest{Selectors: []*configapiv1.ConfigurationSelector{selector}, Format: format}
	return service.WatchConfigurations(ctx, request)
}

func watched(ctx context.Context) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := watch(ctx, "watched")
	seen := ""
	for err == nil {
		var message *configapiv1.WatchConfigurationsResponse
		if message, err = stream.Recv(); err != nil {
			break
		}
		if message.Synced {
			if _, err = create(ctx, "watched", `{"a":1}`); err != nil {
				return "", err
			}
		}
		if len(message.Events) > 0 {
			found := message.Events[0].Configuration
			seen = fmt.Sprint(found.Name == name("watched"), " ", found.GetConfigJson())
			cancel()
		}
	}
	return seen + " " + end(err), nil
}

func deadline(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	stream, err := watch(ctx, "nothing")
	for err == nil {
		_, err = stream.Recv()
	}
	return end(err), nil
}

func upload(ctx context.Context) (string, error) {
	stream, err := service.ImportConfigurations(ctx)
	if err != nil {
		return "", err
	}
	for at := 0; at < 3; at++ {
		request := &configapiv1.ImportConfigurationsRequest{Items: []*configapiv1.ConfigurationItem{item(fmt.Sprint("up", at), "{}")}}
		if at == 0 {
			request.Mode = configapiv1.ImportMode_IMPORT_MODE_PER_ITEM
		}
		if err := stream.Send(request); err != nil {
			return "", err
		}
	}
	operation, err := stream.CloseAndRecv()
	if err != nil {
		return "", err
	}
	wait := &longrunning.WaitOperationRequest{Name: operation.Name, Timeout: durationpb.New(20 * time.Second)}
	found, err := longrunning.NewOperationsClient(connection).WaitOperation(ctx, wait)
	return fmt.Sprint(found.GetDone()), err
}

func zipped(ctx context.Context) (string, error) {
	content := `{"text":"` + strings.Repeat("x", 100_000) + `"}`
	if _, err := create(ctx, "zipped", content, grpc.UseCompressor(gzip.Name)); err != nil {
		return "", err
	}
	found, err := get(ctx, "zipped", grpc.UseCompressor(gzip.Name))
	return fmt.Sprint(len(text(found.GetConfigJson()))), err
}

func large(ctx context.Context) (string, error) {
	content := `{"text":"` + strings.Repeat("x", 250_000) + `"}`
	write, read := &configapiv1.BatchWriteConfigurationsRequest{}, &configapiv1.BatchGetConfigurationsRequest{Format: format}
	for at := 0; at < 8; at++ {
		one := item(fmt.Sprint("large", at), content)
		write.Writes = append(write.Writes, &configapiv1.ConfigurationWrite{Write: &configapiv1.ConfigurationWrite_Create{Create: one}})
		key := &configapiv1.ConfigurationKey{Application: "shop", Name: one.Name}
		read.Refs = append(read.Refs, &configapiv1.ConfigurationRef{Ref: &configapiv1.ConfigurationRef_Key{Key: key}})
	}
	if _, err := service.BatchWriteConfigurations(ctx, write); err != nil {
		return "", err
	}
	found, err := service.BatchGetConfigurations(ctx, read)
	size := 0
	for _, one := range found.GetResults() {
		size += len(one.Configuration.GetConfigJson())
	}
	return fmt.Sprint(size > 2_000_000), err
}

func export(ctx context.Context) (string, error) {
	selector := &configapiv1.ConfigurationSelector{Application: shop(), NamePrefix: name("large")}
	stream, err := service.ExportConfigurations(ctx, &configapiv1.ExportConfigurationsRequest{Selector: selector, Format: format})
	count := 0
	for err == nil {
		var message *configapiv1.ExportConfigurationsResponse
		if message, err = stream.Recv(); err == nil {
			count += len(message.Items)
		}
	}
	if err != io.EOF {
		return "", err
	}
	return fmt.Sprint(count), nil
}

func withMetadata(ctx context.Context) (string, error) {
	all := make([]byte, 256)
	for at := range all {
		all[at] = byte(at)
	}
	ctx = metadata.AppendToOutgoingContext(ctx, "x-change-request", "CR of "+prefix, "x-trace-bin", string(all))
	version, err := create(ctx, "metadata", "{}")
	return fmt.Sprint(version), err
}

func many(ctx context.Context) (string, error) {
	var group sync.WaitGroup
	failed := make(chan error, 200)
	for at := 0; at < 200; at++ {
		group.Add(1)
		go func() {
			defer group.Done()
			if _, err := get(ctx, "unary"); err != nil {
				failed <- err
			}
		}()
	}
	group.Wait()
	return fmt.Sprint(200 - len(failed)), nil
}

func unary(ctx context.Context) (string, error) {
	if _, err := create(ctx, "unary", `{"text":"ä"}`); err != nil {
		return "", err
	}
	found, err := get(ctx, "unary")
	return fmt.Sprint(found.GetVersion(), " ", text(found.GetConfigJson())), err
}

func missing(ctx context.Context) (string, error) {
	_, err := get(ctx, "missing")
	return end(err), nil
}

func dial(address string, files []string) (*grpc.ClientConn, error) {
	if len(files) == 0 {
		return grpc.Dial(address, grpc.WithInsecure())
	}
	pair, err := tls.LoadX509KeyPair(files[1], files[2])
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(files[0])
	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(pem)
	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: authorities}
	return grpc.Dial(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

func main() {
	prefix = os.Args[2]
	var err error
	if connection, err = dial(os.Args[1], os.Args[3:]); err != nil {
		panic(err)
	}
	service = configapiv1.NewConfigurationServiceClient(connection)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	found := map[string]string{}
	for _, one := range []struct {
		title string
		run   func(context.Context) (string, error)
	}{{"unary", unary}, {"error", missing}, {"watch", watched}, {"deadline", deadline}, {"upload", upload},
		{"gzip", zipped}, {"large", large}, {"export", export}, {"metadata", withMetadata}, {"many", many}} {
		answer, err := one.run(ctx)
		if err != nil {
			answer = "FAILED " + err.Error()
		}
		found[one.title] = answer
	}
	printed, _ := json.Marshal(found)
	fmt.Println(string(printed))
}
