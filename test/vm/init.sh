#!/bin/busybox sh
# The first process of the virtual machine, from the initramfs: finds the host's files, makes what a
# host under systemd would have made, runs the tests and powers off.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in $(cat /modules.list); do insmod "/modules/$module" || echo "insmod $module failed"; done


mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=1048576 host /host || poweroff -f
mount -t tmpfs tmpfs /fresh
mkdir /fresh/upper /fresh/work
mount -t overlay -o lowerdir=/host,upperdir=/fresh/upper,workdir=/fresh/work root /new || poweroff -f

# What the machine may write is its own memory, except the folders that the host shares.
mount --move /proc /new/proc
mount --move /sys /new/sys
mount --move /dev /new/dev
mkdir -p /new/dev/pts /new/dev/shm /new/dev/mqueue
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /new/dev/pts
mount -t tmpfs tmpfs /new/dev/shm
mount -t mqueue mqueue /new/dev/mqueue
mount -t tmpfs tmpfs /new/run
mkdir -p /new/run/lock
mount -t tmpfs -o mode=1777 tmpfs /new/tmp
while read -r folder; do # they may lie below what was mounted over
  mkdir -p "/new$folder"
  mount --bind "/host$folder" "/new$folder"
done < /shared.list
mount -t securityfs none /new/sys/kernel/security 2>/dev/null
mount -t bpf none /new/sys/fs/bpf 2>/dev/null

# One cgroup hierarchy, the engine in a group of its own, as a service under systemd has it.
mount -t cgroup2 -o nsdelegate cgroup2 /new/sys/fs/cgroup
for controller in $(cat /new/sys/fs/cgroup/cgroup.controllers); do
  echo "+$controller" > /new/sys/fs/cgroup/cgroup.subtree_control
done
mkdir -p /new/sys/fs/cgroup/system.slice/naru.service
echo $$ > /new/sys/fs/cgroup/system.slice/naru.service/cgroup.procs

# The kernel asks /sbin/modprobe for bridge, veth and nf_tables when the engine wants them.
mkdir -p "/new/lib/modules/$(uname -r)"
mount --bind "/new$(cat /modules.folder)" "/new/lib/modules/$(uname -r)"
[ -x /new/sbin/modprobe ] || ln -s /usr/bin/busybox /new/sbin/modprobe

ip link set lo up
hostname vm
cat > /new/run/first.sh <<'END'
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
echo "booted in $(busybox cut -d' ' -f1 /proc/uptime) s"
sh /run/tests.sh < /dev/null
busybox sync
busybox poweroff -f
END
cp /tests.sh /new/run/tests.sh
exec switch_root -c /dev/console /new /bin/sh /run/first.sh
