/*
 * A driver for tests: four consecutive pages of RAM. The first is
 * uncached-minus, the second write-combining, the third unchanged, and the
 * fourth write-through where the kernel has a call for that (5.10, but not
 * 6.12). A program maps them from /dev/typed_ram. The module is built for the
 * kernels of virtual machines (cargo xtask vmtest) and never loaded elsewhere.
 */
#include <linux/gfp.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/version.h>
#include <asm/set_memory.h>

enum { PAGES = 4 };

static char *ram;

#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 11, 0)
static int change_fourth(void)
{
	struct page *fourth = virt_to_page(ram + 3 * PAGE_SIZE);

	return set_pages_array_wt(&fourth, 1);
}

static pgprot_t fourth_type(pgprot_t as_it_is)
{
	return pgprot_writethrough(as_it_is);
}
#else
static int change_fourth(void)
{
	return 0;
}

static pgprot_t fourth_type(pgprot_t as_it_is)
{
	return as_it_is;
}
#endif

/* Each page is mapped with its own type, which the kernel does not check. */
static int map(struct file *file, struct vm_area_struct *vma)
{
	const pgprot_t as_it_is = vma->vm_page_prot;
	const pgprot_t types[PAGES] = {
		pgprot_noncached(as_it_is),
		pgprot_writecombine(as_it_is),
		as_it_is,
		fourth_type(as_it_is),
	};
	int err = 0;
	int i;

	if (vma_pages(vma) != PAGES || vma->vm_pgoff != 0)
		return -EINVAL;
	for (i = 0; i < PAGES && !err; i++) {
		vma->vm_page_prot = types[i];
		err = vm_insert_page(vma, vma->vm_start + i * PAGE_SIZE,
				     virt_to_page(ram + i * PAGE_SIZE));
	}
	vma->vm_page_prot = as_it_is;
	return err;
}

static const struct file_operations operations = {
	.owner = THIS_MODULE,
	.mmap = map,
};

static struct miscdevice device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "typed_ram",
	.fops = &operations,
};

/* Memory goes back only as what it was. */
static void give_back(void)
{
	int err = set_memory_wb((unsigned long)ram, PAGES);

	if (!WARN_ON(err))
		free_pages_exact(ram, PAGES * PAGE_SIZE);
}

static int __init begin(void)
{
	int err;

	ram = alloc_pages_exact(PAGES * PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);
	if (!ram)
		return -ENOMEM;
	err = set_memory_uc((unsigned long)ram, 1);
	if (!err)
		err = set_memory_wc((unsigned long)ram + PAGE_SIZE, 1);
	if (!err)
		err = change_fourth();
	if (!err)
		err = misc_register(&device);
	if (err)
		give_back();
	return err;
}

static void __exit end(void)
{
	misc_deregister(&device);
	give_back();
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("RAM of several memory types, for tests");
MODULE_LICENSE("Dual MIT/GPL");
