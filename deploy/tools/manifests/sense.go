package manifests

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// complaints gathers what is wrong.
type complaints []string

func (c *complaints) say(format string, args ...any) { *c = append(*c, fmt.Sprintf(format, args...)) }

// Sense returns what is wrong with objects that belong together although each
// of them is well-formed.
func Sense(objects []runtime.Object) []string {
	var c complaints
	var pods []corev1.PodTemplateSpec
	for _, object := range objects {
		switch o := object.(type) {
		case *appsv1.Deployment:
			pods = append(pods, o.Spec.Template)
			c.deployment(o)
			c.pod(o.Name, o.Spec.Template)
		case *batchv1.Job:
			pods = append(pods, o.Spec.Template)
			c.pod(o.Name, o.Spec.Template)
		}
	}
	for _, object := range objects {
		switch o := object.(type) {
		case *corev1.Service:
			c.service(o, pods)
		case *policyv1.PodDisruptionBudget:
			c.selects("PodDisruptionBudget "+o.Name, o.Spec.Selector, pods)
		case *networkingv1.NetworkPolicy:
			c.selects("NetworkPolicy "+o.Name, &o.Spec.PodSelector, pods)
		}
	}
	c.references(objects, pods)
	return c
}

func (c *complaints) deployment(d *appsv1.Deployment) {
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil || !selector.Matches(labels.Set(d.Spec.Template.Labels)) {
		c.say("Deployment %s does not select its own pods: %v", d.Name, err)
	}
	if rolling := d.Spec.Strategy.RollingUpdate; rolling == nil || rolling.MaxUnavailable == nil || rolling.MaxUnavailable.IntValue() != 0 {
		c.say("Deployment %s takes replicas away before there are new ones", d.Name)
	}
	for _, container := range d.Spec.Template.Spec.Containers {
		for name, probe := range map[string]*corev1.Probe{
			"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe,
		} {
			if probe == nil || probe.HTTPGet == nil || !hasPort(container, probe.HTTPGet.Port.String()) {
				c.say("Deployment %s: container %s has no %s probe at a port of its own", d.Name, container.Name, name)
			}
		}
	}
}

// pod says what the restricted profile of the Pod Security Standards would, and
// what makes a secret or the node reachable.
func (c *complaints) pod(name string, template corev1.PodTemplateSpec) {
	spec := template.Spec
	if spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		c.say("%s holds a token for the cluster", name)
	}
	if spec.EnableServiceLinks == nil || *spec.EnableServiceLinks {
		c.say("%s gets PORTICO_ variables for each Service, with which Portico does not start", name)
	}
	security := spec.SecurityContext
	if security == nil || security.RunAsNonRoot == nil || !*security.RunAsNonRoot || security.RunAsUser == nil || *security.RunAsUser == 0 {
		c.say("%s may run as root", name)
	}
	if security == nil || security.SeccompProfile == nil || security.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault {
		c.say("%s has no seccomp profile", name)
	}
	for _, container := range spec.Containers {
		s := container.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Contains(s.Capabilities.Drop, "ALL") || len(s.Capabilities.Add) > 0 {
			c.say("%s: container %s is not hardened", name, container.Name)
		}
		if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
			c.say("%s: container %s has no memory limit or asks for no CPU", name, container.Name)
		}
	}
}

func (c *complaints) service(s *corev1.Service, pods []corev1.PodTemplateSpec) {
	for _, port := range s.Spec.Ports {
		if !slices.ContainsFunc(pods, func(pod corev1.PodTemplateSpec) bool {
			return labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pod.Labels)) &&
				slices.ContainsFunc(pod.Spec.Containers, func(container corev1.Container) bool { return hasPort(container, port.TargetPort.String()) })
		}) {
			c.say("Service %s leads nowhere with port %s", s.Name, port.Name)
		}
	}
}

func hasPort(container corev1.Container, name string) bool {
	return slices.ContainsFunc(container.Ports, func(port corev1.ContainerPort) bool {
		return port.Name == name || fmt.Sprint(port.ContainerPort) == name
	})
}

func (c *complaints) selects(who string, by *metav1.LabelSelector, pods []corev1.PodTemplateSpec) {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil || !slices.ContainsFunc(pods, func(pod corev1.PodTemplateSpec) bool { return selector.Matches(labels.Set(pod.Labels)) }) {
		c.say("%s selects nobody: %v", who, err)
	}
}

// references are to objects of ours, but for secrets, which are made by hand.
func (c *complaints) references(objects []runtime.Object, pods []corev1.PodTemplateSpec) {
	maps := make(map[string]bool)
	for _, object := range objects {
		if o, ok := object.(*corev1.ConfigMap); ok {
			maps[o.Name] = true
		}
	}
	for _, pod := range pods {
		volumes := make(map[string]bool)
		for _, volume := range pod.Spec.Volumes {
			volumes[volume.Name] = true
		}
		for _, container := range pod.Spec.Containers {
			for _, from := range container.EnvFrom {
				if from.ConfigMapRef != nil && !maps[from.ConfigMapRef.Name] {
					c.say("container %s: there is no ConfigMap %s", container.Name, from.ConfigMapRef.Name)
				}
			}
			for _, mount := range container.VolumeMounts {
				if !volumes[mount.Name] {
					c.say("container %s: there is no volume %s", container.Name, mount.Name)
				}
			}
		}
	}
}
