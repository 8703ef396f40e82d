package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// Build makes the objects that a kustomization stands for, as `kubectl
// kustomize` prints them.
func Build(folder string) ([]byte, error) {
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), folder)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", folder, err)
	}
	return built.AsYaml()
}

// Decode returns the objects of a YAML stream in the API's types. Unlike the
// API server's default it takes nothing that the types do not have. The error
// names every object that is wrong.
func Decode(stream []byte) ([]runtime.Object, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	serializer := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var objects []runtime.Object
	var wrong []error
	documents := yaml.NewDocumentDecoder(io.NopCloser(bytes.NewReader(stream)))
	defer documents.Close()
	for n, buffer := 1, make([]byte, 1<<20); ; n++ {
		size, err := documents.Read(buffer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		object, kind, err := serializer.Decode(buffer[:size], nil, nil)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("document %d (%v): %w", n, kind, err))
			continue
		}
		objects = append(objects, object)
	}
	if len(objects) == 0 && len(wrong) == 0 {
		return nil, errors.New("there is nothing in it")
	}
	return objects, errors.Join(wrong...)
}
